//! The SDK's client, and its replacement when the service no longer accepts its credentials.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{
    Builder, Credentials, IdentityCache, ProvideCredentials as _, SharedCredentialsProvider,
};

use super::error::credentials_error;
use super::notes::Sent;
use crate::client::{ErrorClass, RequestError};

/// How long it may take to load credentials anew, after an answer that came in time.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A client, and with it the credentials that it keeps: the SDK does not know how to forget them.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    number: u64,
}

#[derive(Debug)]
pub(super) struct Sessions {
    config: Builder,
    credentials: Option<SharedCredentialsProvider>,
    current: Mutex<Session>,
    /// Held while credentials are loaded anew, so that only one request does so.
    renewing: tokio::sync::Mutex<()>,
}

impl Sessions {
    pub(super) fn new(config: Builder, credentials: Option<SharedCredentialsProvider>) -> Self {
        let first = Session {
            client: Client::from_conf(config.clone().build()),
            number: 0,
        };
        Self {
            config,
            credentials,
            current: Mutex::new(first),
            renewing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn current(&self) -> Session {
        self.lock().clone()
    }

    /// Loads the credentials anew, and returns the error of the request whose credentials the service refused: it is
    /// transient if the next request may succeed.
    pub(super) async fn renew(&self, session: &Session, sent: &Sent, error: RequestError) -> RequestError {
        let Some(provider) = &self.credentials else {
            return error;
        };
        let _renewing = self.renewing.lock().await;
        if self.lock().number != session.number {
            return transient(error);
        }
        let credentials = match tokio::time::timeout(RELOAD_TIMEOUT, provider.provide_credentials()).await {
            Ok(Ok(credentials)) => credentials,
            Ok(Err(error)) => return credentials_error(&error),
            Err(_) => return transient(error),
        };
        let has_expired = says_expired(&error.code);
        let may_be_renewed = has_expired && credentials.expiry().is_some();
        if is_same(&credentials, sent) && !may_be_renewed {
            return RequestError::configuration(
                error.code,
                if has_expired {
                    "the credentials have expired, and loading them again returned the same: obtain new ones, or \
                     configure a provider that renews them"
                        .into()
                } else {
                    format!(
                        "the service does not accept the credentials: set valid ones ({})",
                        error.message
                    )
                },
            );
        }
        self.start_next();
        transient(error)
    }

    /// Replaces the client by one that does not have credentials yet.
    fn start_next(&self) {
        let config = self.config.clone().identity_cache(IdentityCache::lazy().build());
        let client = Client::from_conf(config.build());
        let mut current = self.lock();
        current.client = client;
        current.number += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Session> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the service refused a request with this code because of its credentials.
pub(super) fn refuses_credentials(code: &str) -> bool {
    says_expired(code) || ErrorClass::of_code(code) == ErrorClass::Configuration
}

fn says_expired(code: &str) -> bool {
    matches!(code, "ExpiredToken" | "ExpiredTokenException")
}

fn is_same(credentials: &Credentials, sent: &Sent) -> bool {
    let access_key = sent.access_key.as_deref();
    access_key == Some(credentials.access_key_id()) && sent.session_token.as_deref() == credentials.session_token()
}

fn transient(error: RequestError) -> RequestError {
    RequestError::not_sent(error.code, error.message)
}
