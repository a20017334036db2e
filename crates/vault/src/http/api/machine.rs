//! What machines ask with their tokens.
//!
//! What can go wrong: work that has begun goes on where its client is gone, and a storage that hangs
//! holds it. So it keeps the place of its token until it ends, or a client that asks and goes, again and
//! again, would have every place.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use data_encoding::BASE64;
use hyper::header::CONTENT_TYPE;
use strongroom_ledger::Hash;
use strongroom_model::vault::{Consistency, DrillAnswer, NewLog, VaultInfo, Witnessed};
use strongroom_model::{FileName, Id, RepositoryPath};
use tokio::time::sleep;

use crate::http::api::answer::{self, JSON};
use crate::http::api::request::{self, refuse_parameters};
use crate::http::api::{Api, Call, Captured};
use crate::http::body::{Body, Listing};
use crate::http::service::{Kept, Request, Response};
use crate::publication::CaughtUp;
use crate::vault::{Principal, Vault};
use crate::wire::InclusionInfo;
use crate::{Error, Result, wire};

/// How many rotten objects are told at a time.
const ROTTEN_PAGE: u64 = 1_000;

/// How many snapshots are looked at at a time to tell when they came.
const ARRIVALS_PAGE: u64 = 1_000;

impl Api {
    /// Answers a machine.
    pub(super) async fn ask(
        &self,
        request: Request,
        principal: Principal,
        call: Call,
        captured: Captured,
        place: Kept,
    ) -> Result<Response> {
        let repository = || captured.repository.clone().ok_or(Error::Unfinished);
        match call {
            Call::Vault => {
                refuse_parameters(&request)?;
                answer::json(&self.vault_info().await?)
            }
            Call::Consistency => {
                self.consistency(request::number(&request, "old")?, place)
                    .await
            }
            Call::Inclusion => {
                self.inclusion(request::number(&request, "leaf")?, place)
                    .await
            }
            Call::Receipt => self.receipt(request, principal, repository()?, place).await,
            Call::Drill => self.drill(request, principal, repository()?, place).await,
            Call::Repository => {
                refuse_parameters(&request)?;
                self.repository(principal, repository()?, place).await
            }
            Call::Snapshots => {
                refuse_parameters(&request)?;
                self.snapshots(principal, repository()?).await
            }
            Call::Rotten => {
                let after = request::maybe_file(&request, "after")?;
                self.rotten(principal, repository()?, after, place).await
            }
            Call::Arrivals => {
                let after = request::maybe_id(&request, "after")?;
                self.arrivals(principal, repository()?, after, place).await
            }
            _ => Err(Error::Unfinished),
        }
    }

    /// A page of what is rotten: a client asks for the next one by the last name of this.
    async fn rotten(
        &self,
        principal: Principal,
        path: RepositoryPath,
        after: Option<FileName>,
        place: Kept,
    ) -> Result<Response> {
        let vault = self.parts().vault.clone();
        let look = move || vault.rotten_for(&principal, &path, after, ROTTEN_PAGE + 1);
        let mut found = self.parts().blocking.run_in(place, look).await?;
        let is_all = found.len() as u64 <= ROTTEN_PAGE;
        found.truncate(usize::try_from(ROTTEN_PAGE).unwrap_or(usize::MAX));
        answer::json(&wire::rotten(&found, is_all))
    }

    /// A page of when snapshots came: a client asks for the next one as this one says.
    async fn arrivals(
        &self,
        principal: Principal,
        path: RepositoryPath,
        after: Option<Id>,
        place: Kept,
    ) -> Result<Response> {
        let vault = self.parts().vault.clone();
        let look = move || vault.arrivals(&principal, &path, after, ARRIVALS_PAGE);
        let page = self.parts().blocking.run_in(place, look).await?;
        answer::json(&wire::arrivals(&page)?)
    }

    async fn vault_info(&self) -> Result<VaultInfo> {
        let vault = &self.parts().vault;
        let look = vault.clone();
        let seal = self.parts().blocking.run(move || look.seal()).await?;
        Ok(VaultInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            origin: vault.origin().to_owned(),
            log_key: self.parts().publisher.key(),
            runs_in: self.parts().runs_in.known(),
            objects_in: self.parts().runs_in.objects_in(),
            time: wire::time(&vault.shown())?,
            sealed: seal.is_closed(),
            new_log: vault.log().before.clone().map(|before| NewLog { before }),
        })
    }

    /// Publishes what is there by now, or waits until that is done for all who ask.
    async fn catch_up(&self, place: &Kept) -> Result<()> {
        let blocking = self.parts().blocking.for_storage();
        let mut wanted = None;
        loop {
            let publisher = Arc::clone(&self.parts().publisher);
            let catch_up = move || publisher.catch_up(wanted, Instant::now());
            match blocking.run_in(place.clone(), catch_up).await? {
                CaughtUp::Done => return Ok(()),
                CaughtUp::Later { wanted: all, pause } => {
                    wanted = Some(all);
                    sleep(pause).await;
                }
            }
        }
    }

    /// What this client has written is published first.
    async fn consistency(&self, old: u64, place: Kept) -> Result<Response> {
        self.catch_up(&place).await?;
        let published = self.shared.published.clone();
        let prove = move || published.consistency(old);
        let blocking = self.parts().blocking.for_storage();
        let proved = blocking.run_in(place, prove).await?;
        answer::json(&Consistency {
            checkpoint: proved.checkpoint,
            proof: told(&proved.proof),
            witnessed: proved.witnessed.map(|witnessed| Witnessed {
                checkpoint: witnessed.checkpoint,
                proof: told(&witnessed.proof),
            }),
        })
    }

    async fn inclusion(&self, leaf: u64, place: Kept) -> Result<Response> {
        self.catch_up(&place).await?;
        let published = self.shared.published.clone();
        let prove = move || published.inclusion(leaf);
        let blocking = self.parts().blocking.for_storage();
        let proved = blocking.run_in(place, prove).await?;
        answer::json(&InclusionInfo {
            checkpoint: proved.checkpoint,
            entry: BASE64.encode(&proved.entry),
            proof: told(&proved.proof),
        })
    }

    /// Takes the statement of a drill, which is small.
    async fn drill(
        &self,
        request: Request,
        principal: Principal,
        path: RepositoryPath,
        place: Kept,
    ) -> Result<Response> {
        let request::SentDrill { key, drill } = request::read(request).await?;
        let vault = self.parts().vault.clone();
        let take = move || vault.take_drill(&principal, &path, &key, &drill);
        let drill = self.parts().blocking.run_in(place, take).await?;
        answer::json(&DrillAnswer { drill })
    }

    async fn repository(
        &self,
        principal: Principal,
        path: RepositoryPath,
        place: Kept,
    ) -> Result<Response> {
        let vault = self.parts().vault.clone();
        let look = move || vault.overview(&principal, &path);
        let overview = self.parts().blocking.run_in(place, look).await?;
        answer::json(&wire::repository(&overview))
    }

    /// All snapshots, one after the other: there may be very many.
    async fn snapshots(&self, principal: Principal, path: RepositoryPath) -> Result<Response> {
        let parts = self.parts();
        let vault = parts.vault.clone();
        let place = parts.blocking.listing_of(&principal.name).await;
        let write = move |listing: &mut Listing| {
            let _place = place;
            write(&vault, &principal, &path, listing)
        };
        let body = Body::listing(&parts.blocking, &parts.limits, write).await?;
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        Ok(response)
    }
}

/// Writes the list of snapshots. Between its pages nothing of the database is held, however slowly
/// a client takes them.
fn write(
    vault: &Vault,
    principal: &Principal,
    path: &RepositoryPath,
    listing: &mut Listing,
) -> Result<()> {
    let failed = || Error::local("send a list of snapshots");
    let mut page = vault.standings(principal, path, None)?;
    let mut before: &[u8] = br#"{"snapshots":["#;
    let mut is_empty = true;
    loop {
        for standing in &page.standings {
            listing.write_all(before).map_err(failed())?;
            let snapshot = wire::snapshot(standing);
            let written = serde_json::to_writer(&mut *listing, &snapshot);
            written.map_err(|error| failed()(error.into()))?;
            (before, is_empty) = (b",", false);
        }
        let Some(next) = page.next else {
            break;
        };
        page = vault.standings(principal, path, Some(next))?;
    }
    let end: &[u8] = match is_empty {
        true => br#"{"snapshots":[]}"#,
        false => b"]}",
    };
    listing.write_all(end).map_err(failed())
}

fn told(proof: &[Hash]) -> Vec<String> {
    proof.iter().map(ToString::to_string).collect()
}
