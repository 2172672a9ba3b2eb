//! Why a call of gRPC brings no answer, in the words of the kubelet.

pub(super) const UNKNOWN: u32 = 2;
pub(super) const DEADLINE_EXCEEDED: u32 = 4;
pub(super) const PERMISSION_DENIED: u32 = 7;
pub(super) const RESOURCE_EXHAUSTED: u32 = 8;
pub(super) const UNIMPLEMENTED: u32 = 12;
pub(super) const INTERNAL: u32 = 13;
pub(super) const UNAVAILABLE: u32 = 14;
pub(super) const UNAUTHENTICATED: u32 = 16;

/// The names of the codes, in the order of their numbers.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// A code of gRPC, and what is said about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CallFault {
    code: u32,
    message: String,
}

impl CallFault {
    pub(super) fn new(code: u32, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    /// Returns what the kubelet says; `within` is how long the probe may take.
    pub(super) fn words(&self, within: &str) -> String {
        let Self { code, message } = self;
        match *code {
            UNIMPLEMENTED => format!(
                "error: this server does not implement the grpc health protocol \
                 (grpc.health.v1.Health): {message}"
            ),
            DEADLINE_EXCEEDED => format!("timeout: health rpc did not complete within {within}"),
            code => {
                let name = usize::try_from(code).ok().and_then(|it| CODES.get(it));
                let name = name.map_or_else(|| format!("Code({code})"), |name| (*name).to_owned());
                format!("error: health rpc probe failed: rpc error: code = {name} desc = {message}")
            }
        }
    }
}
