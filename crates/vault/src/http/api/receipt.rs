//! Takes receipts: from the wire to where they wait, and in their turn from there.
//!
//! What can go wrong: many at once, or large ones. Each waits on the disk while its client sends it,
//! and few have a turn at a time, one large one among them; so the memory is that of these, whoever
//! sends how slowly. Or those of one token keep all others from theirs, by what takes long or has to
//! wait for another receipt of its source: so a token has one turn at a time, and who waits has none.

mod turns;

use std::ops::ControlFlow;

use hyper::body::Bytes;
use strongroom_model::RepositoryPath;
use tokio::time::sleep;

use crate::http::api::Api;
use crate::http::api::answer;
use crate::http::api::request::{check_type, refuse_parameters};
use crate::http::body::Intake;
use crate::http::service::{Kept, Request, Response};
use crate::vault::{
    Accepted, LARGEST_RECEIPT_BYTES, Principal, ReceiptTaken, ReceiptUpload, WaitingReceipt,
};
use crate::{Result, wire};

pub(super) use turns::Turns;

/// Takes the bytes of a receipt, with the place of its token.
struct Taking {
    upload: ReceiptUpload,
    _place: Kept,
}

impl Api {
    pub(super) async fn receipt(
        &self,
        request: Request,
        principal: Principal,
        path: RepositoryPath,
        place: Kept,
    ) -> Result<Response> {
        refuse_parameters(&request)?;
        check_type(&request)?;
        let parts = self.parts();
        let body = request.into_body();
        let length_bytes = body.length_bytes();
        let (vault, spool) = (parts.vault.clone(), parts.spool.clone());
        let (token, kept) = (principal.name.clone(), place.clone());
        let begin = move || {
            let upload = vault.begin_receipt(&principal, &path, length_bytes, &spool)?;
            Ok(Taking {
                upload,
                _place: kept,
            })
        };
        // What room there is, the storage is asked.
        let blocking = parts.blocking.for_storage();
        let taking = blocking.run(begin).await?;
        let passed = body.pass_to(taking, LARGEST_RECEIPT_BYTES, &blocking);
        let accepted = self.take(&token, passed.await?, &place).await?;
        answer::json(&wire::receipt(&accepted))
    }

    /// Takes a receipt of a token that has come, in its turn.
    async fn take(&self, token: &str, mut upload: ReceiptUpload, place: &Kept) -> Result<Accepted> {
        loop {
            let turn = self.shared.turns.take(token, upload.is_large()).await?;
            let take = move || {
                let taken = upload.take();
                drop(turn);
                taken
            };
            upload = match self.parts().blocking.run_in(place.clone(), take).await? {
                ReceiptTaken::Stands(accepted) => return Ok(accepted),
                ReceiptTaken::Waits(waiting) => self.until_it_goes_on(waiting, place).await?,
            };
        }
    }

    /// Waits for another receipt of the source, without a turn and without a thread.
    async fn until_it_goes_on(
        &self,
        mut waiting: Box<WaitingReceipt>,
        place: &Kept,
    ) -> Result<ReceiptUpload> {
        loop {
            sleep(WaitingReceipt::PAUSE).await;
            let look = move || waiting.look();
            waiting = match self.parts().blocking.run_in(place.clone(), look).await? {
                ControlFlow::Break(upload) => return Ok(upload),
                ControlFlow::Continue(waiting) => waiting,
            };
        }
    }
}

impl Intake for Taking {
    type Output = ReceiptUpload;

    fn take(&mut self, chunks: &[Bytes]) -> Result<()> {
        chunks.iter().try_for_each(|chunk| self.upload.write(chunk))
    }

    fn finish(self) -> Result<ReceiptUpload> {
        Ok(self.upload)
    }
}
