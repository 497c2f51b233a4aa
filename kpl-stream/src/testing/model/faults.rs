//! The faults between a client and the service.

use fastrand::Rng;

use crate::client::{PutResult, RequestError};

/// The answer to a PutRecords request.
pub type Answer = Result<Vec<PutResult>, RequestError>;

/// The chance of each fault, for each request or entry. By default nothing fails.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// For an entry: the shard has no room.
    pub throttled: f64,
    /// For an entry: an internal failure.
    pub failed: f64,
    /// For a request: it is never carried out, and there is no answer.
    pub lost: f64,
    /// For a request: it is carried out, and the answer is cut off.
    pub cut: f64,
    /// For a request: it is carried out after the client has stopped waiting for it.
    pub late: f64,
    /// For a request: the answer has the wrong number of results.
    pub miscounted: f64,
    /// For a request: it is refused because there are too many.
    pub request_throttled: f64,
    /// For a request: the service breaks down, half of the time after it carried out the request.
    pub broken: f64,
    /// For a listing of shards: it fails.
    pub unlisted: f64,
}

/// What happens to a PutRecords request.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It is not carried out, and not answered.
    Lost,
    /// It is not carried out, and answered with an error.
    Failed(RequestError),
    /// It is carried out after the client has stopped waiting.
    Late,
    /// It is carried out, and the answer is cut off.
    Cut,
    /// It is carried out, and the answer has the wrong number of results.
    Miscounted,
    /// It is carried out, and answered with an internal failure.
    BrokenAfter,
    /// It is carried out and answered.
    Answered,
}

impl Faults {
    /// Returns whether nothing fails.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Decides what happens to the next request.
    pub fn fate(&self, rng: &mut Rng) -> Fate {
        let mut chance = |of: f64| rng.f64() < of;
        if chance(self.lost) {
            Fate::Lost
        } else if chance(self.late) {
            Fate::Late
        } else if chance(self.cut) {
            Fate::Cut
        } else if chance(self.miscounted) {
            Fate::Miscounted
        } else if chance(self.request_throttled) {
            let code = "ProvisionedThroughputExceededException";
            Fate::Failed(RequestError::refused(code, "too many requests"))
        } else if chance(self.broken) {
            if chance(0.5) {
                Fate::Failed(broken())
            } else {
                Fate::BrokenAfter
            }
        } else {
            Fate::Answered
        }
    }
}

impl Fate {
    /// Returns what the client receives, if the service answered `answer`, or `None` if it receives no answer.
    pub fn deliver(self, answer: Answer, rng: &mut Rng) -> Option<Answer> {
        match (self, answer) {
            (Self::Lost | Self::Late, _) => None,
            (Self::Failed(error), _) => Some(Err(error)),
            (Self::Cut, _) => Some(Err(RequestError::unanswered("ResponseError", "cut off"))),
            (Self::BrokenAfter, _) => Some(Err(broken())),
            (Self::Miscounted, Ok(mut results)) => {
                if rng.bool() {
                    results.pop();
                } else {
                    results.extend(results.first().cloned());
                }
                Some(Ok(results))
            }
            (Self::Miscounted | Self::Answered, answer) => Some(answer),
        }
    }
}

/// Returns the answer of a service that breaks down.
pub(super) fn broken() -> RequestError {
    RequestError::unanswered("InternalFailure", "500")
}
