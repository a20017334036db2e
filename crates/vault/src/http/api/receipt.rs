//! Takes receipts: from the wire to where they wait, and in their turn from there.
//!
//! What can go wrong: many large ones at once. Each waits on the disk while its client sends it,
//! and is read when no other is; so the memory is that of one, whoever sends how slowly.

use std::sync::Arc;

use hyper::body::Bytes;
use strongroom_model::RepositoryPath;

use crate::http::api::answer;
use crate::http::api::request::{check_type, refuse_parameters};
use crate::http::api::{Api, TURNS};
use crate::http::body::Intake;
use crate::http::service::{Request, Response};
use crate::vault::{LARGEST_RECEIPT_BYTES, Principal, ReceiptUpload};
use crate::{Error, Result, wire};

/// Takes the bytes of a receipt.
struct Taking(ReceiptUpload);

impl Api {
    pub(super) async fn receipt(
        &self,
        request: Request,
        principal: Principal,
        path: RepositoryPath,
    ) -> Result<Response> {
        refuse_parameters(&request)?;
        check_type(&request)?;
        let parts = self.parts();
        let body = request.into_body();
        let length_bytes = body.length_bytes();
        let (vault, spool) = (parts.vault.clone(), parts.spool.clone());
        let begin = move || {
            let upload = vault.begin_receipt(&principal, &path, length_bytes, &spool)?;
            Ok(Taking(upload))
        };
        // What room there is, the storage is asked.
        let blocking = parts.blocking.for_storage();
        let taking = blocking.run(begin).await?;
        let passed = body.pass_to(taking, LARGEST_RECEIPT_BYTES, &blocking);
        let upload = passed.await?;
        let turns = if upload.is_large() { TURNS } else { 1 };
        let turn = Arc::clone(&self.shared.turns).acquire_many_owned(turns);
        let turn = turn.await.map_err(|_| Error::Unfinished)?;
        let accept = move || {
            let accepted = upload.accept();
            drop(turn);
            accepted
        };
        let accepted = parts.blocking.run(accept).await?;
        answer::json(&wire::receipt(&accepted))
    }
}

impl Intake for Taking {
    type Output = ReceiptUpload;

    fn take(&mut self, chunks: &[Bytes]) -> Result<()> {
        chunks.iter().try_for_each(|chunk| self.0.write(chunk))
    }

    fn finish(self) -> Result<ReceiptUpload> {
        Ok(self.0)
    }
}
