//! The locks of the bucket, where it has any.

use std::time::{Duration, SystemTime};

use strongroom_model::FileName;
use strongroom_store::{
    BucketCheck, Error, Locks, Result, SavedLock, SeenVersion, ShownLock, Store, VersionId,
};

use crate::fake_bucket::FakeBucket;

impl Locks for FakeBucket {
    fn least(&self) -> Duration {
        self.state.lock().least.unwrap_or_default()
    }

    fn date(&self) -> Result<SystemTime> {
        let state = self.state.lock();
        Ok(state.date().unwrap_or(state.now))
    }

    fn now(&self) -> Result<SystemTime> {
        Ok(self.state.lock().now)
    }

    fn seen(&self, name: FileName) -> Result<SeenVersion> {
        let lock = self.lock_of(name, None)?;
        let size_bytes = self.size(name)?;
        let mut state = self.state.lock();
        let seen = state.version(name, None);
        let seen = seen.ok_or_else(|| self.absent(name))?;
        Ok(SeenVersion {
            version: seen.version.clone(),
            size_bytes,
            lock,
        })
    }

    fn lock_of(&self, name: FileName, version: Option<&VersionId>) -> Result<ShownLock> {
        let mut state = self.state.lock();
        state.asked.looked += 1;
        let kept = state.version(name, version);
        let until = kept.ok_or_else(|| self.absent(name))?.until;
        Ok(match until {
            Some(until) => ShownLock::Compliance { until },
            None => ShownLock::NotShown,
        })
    }

    fn lock_until(
        &self,
        name: FileName,
        version: Option<&VersionId>,
        until: SystemTime,
    ) -> Result<SystemTime> {
        let _under_way = self.begin();
        let mut state = self.state.lock();
        state.asked.locked += 1;
        if state.refused.contains(&name) {
            return Err(Error::NotLocked {
                name,
                location: self.location.clone(),
                reason: "it refuses".to_owned(),
            });
        }
        let kept = state.version(name, version);
        let kept = kept.ok_or_else(|| self.absent(name))?;
        let later = kept.until.max(Some(until));
        kept.until = later;
        Ok(later.unwrap_or(until))
    }

    fn take_saved(&self) -> Vec<SavedLock> {
        std::mem::take(&mut self.state.lock().saved)
    }

    fn check(&self) -> Result<BucketCheck> {
        Ok(BucketCheck::default())
    }
}
