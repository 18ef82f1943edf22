//! Acquires the lock as its writer.
//!
//! 1. Take the lock file and keep it: from now on no reader enters.
//! 2. List the directory. We have just changed it, so an NFS client does not answer from its cache. It
//!    shows all readers that are in.
//! 3. Acquire the lock of each, once its reader has released it or it may be taken over, and release
//!    it again. That reader is gone then: nobody acquires a reader's lock twice but a writer.
//! 4. Renew the lease of the lock file meanwhile.

use std::time::Duration;

use super::RwLock;
use crate::error::Error;
use crate::holder::Obstacle;
use crate::model::safeguard::Safeguard;
use crate::protocol::tenure::Tenure;
use crate::wait::limit::WaitLimit;
use crate::wait::park::Park;

impl RwLock {
    /// Contends for the lock as its writer until it is acquired or the limit is reached.
    pub(crate) async fn exclude<W: FnMut(&Obstacle) -> Duration + ?Sized>(
        &self,
        mut limit: WaitLimit<'_, W>,
        parker: &impl Park,
    ) -> Result<Tenure, Error> {
        let begun = self.now();
        let acquisition = self.writer.begin_acquisition();
        let tenure = self.writer.contend(acquisition, limit.part(), parker).await?; // 1
        let readers = self.readers.list()?; // 2
        for reader in readers.iter().filter(|_| Safeguard::WriterWaits.stands()) {
            let mut trouble = None;
            let mut go_on = |obstacle: &Obstacle| match renew_if_due(&tenure) {
                Ok(due) => limit.left(self.now().saturating_sub(begun), obstacle).min(due), // 4
                Err(error) => {
                    trouble = Some(error);
                    Duration::ZERO
                }
            };
            let outlasted = reader.outlast(WaitLimit::While(&mut go_on), parker).await; // 3
            if let Some(error) = trouble {
                return Err(error);
            }
            if let Err(obstacle) = outlasted? {
                let waited = self.now().saturating_sub(begun);
                return Err(limit.ended(self.path().into(), waited, obstacle));
            }
        }
        if !tenure.is_nearly_whole() {
            tenure.refresh()?;
        }
        Ok(tenure)
    }
}

/// Renews a lease of which a third is over. Returns when to ask again.
fn renew_if_due(tenure: &Tenure) -> Result<Duration, Error> {
    let third = tenure.lifetime() / 3;
    if tenure.remaining() <= 2 * third {
        tenure.refresh()?;
    }
    Ok(tenure.remaining().saturating_sub(2 * third).max(third / 8))
}
