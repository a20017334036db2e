//! What whoever runs the vault asks: the same acts as those of the program's commands.
//!
//! Everything that changes something is a leaf, written by the act itself.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use strongroom_model::{FileName, FileType, Period};

use crate::http::api::request::{self, malformed, read, refuse_parameters};
use crate::http::api::{Api, Call, Captured, answer};
use crate::http::service::{Request, Response};
use crate::people::Who;
use crate::records::tokens::Token;
use crate::rules::purge::Tombstones;
use crate::vault::{Demands, Longer, NewToken, Seen, TokenDay, Vault};
use crate::wire::{FindingInfo, HidingInfo, NewTokenInfo, TokenInfo};
use crate::{Error, Result, wire};

impl Api {
    /// Does what somebody asks for who administers.
    pub(super) async fn administer(
        &self,
        request: Request,
        who: Who,
        call: Call,
        captured: Captured,
    ) -> Result<Response> {
        let Captured {
            repository,
            token,
            key,
        } = captured;
        let path = repository.ok_or(Error::Unfinished);
        let name = token.ok_or(Error::Unfinished);
        match call {
            Call::Tokens => {
                refuse_parameters(&request)?;
                let all = self.act(|vault| token_infos(&vault)).await?;
                answer::json(&json!({ "tokens": all }))
            }
            Call::MakeToken => self.make_token(who, read(request).await?).await,
            Call::TokenDay => self.set_token_day(who, name?, read(request).await?).await,
            Call::RevokeToken => {
                let (name, _) = (name?, read::<request::Nothing>(request).await?);
                self.act_on_token(name, move |vault, name| vault.revoke_token(who, name))
                    .await
            }
            Call::Hide => {
                let (name, hide) = (name?, read::<request::Hide>(request).await?);
                let since_ms = hide.since.as_millisecond();
                let hiding = self
                    .act(move |vault| vault.hide(who, &name, since_ms))
                    .await?;
                answer::json(&HidingInfo::of(hiding))
            }
            Call::Unhide => {
                let (name, _) = (name?, read::<request::Nothing>(request).await?);
                let hiding = self.act(move |vault| vault.unhide(who, &name)).await?;
                answer::json(&HidingInfo::of(hiding))
            }
            Call::PurgeEarly => {
                let (name, _) = (name?, read::<request::Nothing>(request).await?);
                self.act(move |vault| vault.purge_early(&name)).await?;
                Err(Error::Unfinished)
            }
            Call::ForgetClientKey => {
                let (name, _) = (name?, read::<request::Nothing>(request).await?);
                self.act_on_token(name, move |vault, name| vault.forget_client_key(who, name))
                    .await
            }
            Call::Repositories => {
                refuse_parameters(&request)?;
                let all = self.act(|vault| vault.overviews()).await?;
                let all: Vec<_> = all.iter().map(wire::repository).collect();
                answer::json(&json!({ "repositories": all }))
            }
            Call::Keeping => {
                let (path, keeping) = (path?, read::<request::Keeping>(request).await?);
                let longer = Longer {
                    retention_ms: keeping.retention.map(Period::milliseconds),
                    grace_ms: keeping.grace.map(Period::milliseconds),
                };
                let act = move |vault: Vault| vault.keep_longer(who, &path, longer);
                let keeping = self.act(act).await?;
                answer::json(&json!({
                    "retention_s": keeping.retention_ms / 1000,
                    "grace_s": keeping.grace_ms / 1000,
                }))
            }
            Call::Quota => {
                let (path, quota) = (path?, read::<request::Quota>(request).await?);
                let bytes = quota.bytes;
                self.act(move |vault| vault.set_quota(who, &path, bytes))
                    .await?;
                answer::json(&json!({ "quota_bytes": bytes }))
            }
            Call::Undelete => {
                let (path, undelete) = (path?, read::<request::Undelete>(request).await?);
                let objects = match undelete.file.as_deref().map(request::file).transpose()? {
                    Some(file) => {
                        let is_alone = undelete.token.is_none()
                            && undelete.since.is_none()
                            && undelete.until.is_none();
                        if !is_alone {
                            return Err(malformed(
                                "one file is named, so nothing else chooses".to_owned(),
                            ));
                        }
                        let act = move |vault: Vault| vault.undelete_one(who, &path, file);
                        u64::from(self.act(act).await?)
                    }
                    None => {
                        let since_ms = undelete.since.map(|time| time.as_millisecond());
                        let until_ms = undelete.until.map(|time| time.as_millisecond());
                        self.act(move |vault| {
                            vault.undelete(
                                who,
                                &path,
                                undelete.token.as_deref(),
                                since_ms,
                                until_ms,
                            )
                        })
                        .await?
                    }
                };
                answer::json(&json!({ "objects": objects }))
            }
            Call::AdmitKey => {
                let (path, _) = (path?, read::<request::Nothing>(request).await?);
                let key = key.ok_or(Error::Unfinished)?;
                self.act(move |vault| {
                    let name = FileName::new(FileType::Keys, key);
                    match vault.admit_key(who, &path, name)? {
                        true => Ok(()),
                        false => Err(Error::Unknown {
                            what: "waiting key",
                            name: key.to_string(),
                        }),
                    }
                })
                .await?;
                answer::json(&json!({ "admitted": key }))
            }
            Call::AgreeToPurge => {
                let (path, agreed) = (path?, read::<request::Agreed>(request).await?);
                let looked_at = Tombstones {
                    count: agreed.tombstones,
                    newest: agreed.newest_tombstone,
                };
                let act = move |vault: Vault| vault.agree_to_purge(who, &path, looked_at);
                let was_held = self.act(act).await?;
                answer::json(&json!({ "agreed": was_held }))
            }
            Call::RemoveRepository => {
                let (path, _) = (path?, read::<request::Nothing>(request).await?);
                self.act(move |vault| vault.remove_repository(&path))
                    .await?;
                Err(Error::Unfinished)
            }
            Call::ConfirmClock => {
                let confirm = read::<request::Confirm>(request).await?;
                let seen = Seen {
                    wall_ms: confirm.wall.map(Timestamp::as_millisecond),
                    catch_up_ms: confirm.catch_up.map(Period::milliseconds),
                };
                let time = self.act(move |vault| {
                    vault.confirm_clock(who, seen)?;
                    wire::time(&vault.shown())
                });
                answer::json(&time.await?)
            }
            Call::Doctor => {
                refuse_parameters(&request)?;
                let (publisher, verify_every_ms, channels) = {
                    let parts = self.parts();
                    (
                        Arc::clone(&parts.publisher),
                        parts.verify_every_ms,
                        parts.channels,
                    )
                };
                let vault = self.parts().vault.clone();
                let look = move || {
                    vault.findings(Demands {
                        verify_every_ms,
                        behind_ms: Some(publisher.behind_ms()),
                        channels: Some(channels),
                    })
                };
                // What room there is, the storage is asked.
                let findings = self.parts().blocking.for_storage().run(look).await?;
                let findings: Vec<_> = findings.into_iter().map(FindingInfo::of).collect();
                answer::json(&json!({ "findings": findings }))
            }
            _ => Err(Error::Unfinished),
        }
    }

    async fn make_token(&self, who: Who, wanted: request::NewToken) -> Result<Response> {
        let new = NewToken {
            right: wanted.right,
            prefix: wanted.repository,
            expires_in_ms: wanted.expires.map(Period::milliseconds),
            daily_bytes: wanted.daily_bytes,
            daily_objects: wanted.daily_objects,
        };
        let (right, repository) = (new.right.word(), new.prefix.clone());
        let text = self.act(move |vault| vault.create_token(who, &new)).await?;
        answer::json(&NewTokenInfo {
            name: text.name.clone(),
            token: text.reveal().to_owned(),
            right,
            repository,
        })
    }

    async fn set_token_day(
        &self,
        who: Who,
        name: String,
        wanted: request::Day,
    ) -> Result<Response> {
        let day = TokenDay {
            daily_bytes: wanted.daily_bytes,
            daily_objects: wanted.daily_objects,
        };
        if day == TokenDay::default() {
            return Err(malformed(
                "it says neither daily_bytes nor daily_objects".to_owned(),
            ));
        }
        let set = move |vault: &Vault, name: &str| vault.set_token_day(who, name, day);
        self.act_on_token(name, set).await
    }

    /// Does something with a token, and answers what it is then.
    async fn act_on_token<T>(
        &self,
        name: String,
        act: impl FnOnce(&Vault, &str) -> Result<T> + Send + 'static,
    ) -> Result<Response> {
        let token = self.act(move |vault| {
            act(&vault, &name)?;
            token_info(&vault, &name)
        });
        answer::json(&token.await?)
    }

    async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(Vault) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let vault = self.parts().vault.clone();
        self.parts().blocking.run(move || act(vault)).await
    }
}

fn token_infos(vault: &Vault) -> Result<Vec<TokenInfo>> {
    let all = vault.tokens_with_clients()?;
    let now_ms = vault.now().vault_ms;
    all.iter()
        .map(|(token, client)| TokenInfo::of(token, *client, now_ms))
        .collect()
}

fn token_info(vault: &Vault, name: &str) -> Result<TokenInfo> {
    let all = vault.tokens_with_clients()?;
    let is_it = |(token, _): &&(Token, _)| token.name == name;
    let (token, client) = all.iter().find(is_it).ok_or_else(|| Error::Unknown {
        what: "token",
        name: name.to_owned(),
    })?;
    TokenInfo::of(token, *client, vault.now().vault_ms)
}
