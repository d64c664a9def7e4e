//! What holds for one MRCP session, that is for all channels of one SIP dialog.

use crate::ids::RequestId;
use crate::status::Status;

/// The last request id of one MRCP session: the next must be greater, else 410. RFC 6787 §5.2.
///
/// "Request-ids are scoped to the MRCP session, they are unique across all TCP connections and all
/// resource channels in the session": so there is one of these for each SIP dialog, not one for
/// each channel or connection, and the caller asks it before the request reaches a channel. A
/// request that is refused for another reason (4xx) has used its id up all the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestIds {
    last: Option<RequestId>,
}

impl RequestIds {
    /// A session that has seen no request; the client may begin with any id.
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// Takes the id if it is greater than every id before; otherwise the status to refuse with.
    pub fn check(&mut self, id: RequestId) -> Result<(), Status> {
        if self.last.is_some_and(|last| id <= last) {
            return Err(Status::OUT_OF_ORDER);
        }
        self.last = Some(id);
        Ok(())
    }

    /// The last id that was taken.
    pub const fn last(&self) -> Option<RequestId> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_5_2_ids_rise_without_wrapping() {
        let mut ids = RequestIds::new();
        let mut check = |number| ids.check(RequestId::from_number(number));
        assert_eq!(check(0), Ok(()));
        assert_eq!(check(0), Err(Status::OUT_OF_ORDER));
        assert_eq!(check(7), Ok(()));
        assert_eq!(check(6), Err(Status::OUT_OF_ORDER));
        assert_eq!(check(u32::MAX), Ok(()));
        assert_eq!(check(0), Err(Status::OUT_OF_ORDER));
    }
}
