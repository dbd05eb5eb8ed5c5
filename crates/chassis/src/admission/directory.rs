//! Certificates that somebody else puts into a directory: `tls.crt` and `tls.key`, as cert-manager and mounted Secrets do.
//!
//! Both are read as one unit, and exchanged by content. A pair that cannot be used changes nothing: what was served
//! before is served on, and the log says why.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::authority::{Certificate, PrivateKey};
use super::limits::DIRECTORY_INTERVAL;
use super::tls::{CertificateState, Source, Unservable, read_bounded};

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    #[error(transparent)]
    Unservable(#[from] Unservable),
}

/// Serves the `tls.crt` and `tls.key` that a directory holds, read again every few seconds, until stopped.
pub async fn follow_directory(directory: PathBuf, served: CertificateState, stop: CancellationToken) {
    let mut trouble: Option<String> = None;
    loop {
        let (path, state) = (directory.clone(), served.clone());
        let loaded = tokio::task::spawn_blocking(move || load(&path, &state)).await;
        let found = match loaded {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if found != trouble {
            tell(&directory, found.as_deref());
            trouble = found;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(DIRECTORY_INTERVAL) => {}
        }
    }
}

/// Trouble is told once, and so is its end.
fn tell(directory: &Path, trouble: Option<&str>) {
    let directory = directory.display();
    if let Some(error) = trouble {
        tracing::warn!(error, %directory, "the mounted certificate cannot be used; the one before is served on");
    } else {
        tracing::info!(%directory, "the mounted certificate is in use");
    }
}

fn load(directory: &Path, served: &CertificateState) -> Result<(), LoadError> {
    // The kubelet exchanges all files of a mounted Secret by one symbolic link; following it once reads one generation.
    let generation = directory.join("..data");
    let directory = generation.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    let read = |name: &str| {
        let path = directory.join(name);
        read_bounded(&path).map_err(|error| LoadError::Read(path, error))
    };
    let (chain, key) = (read("tls.crt")?, read("tls.key")?);
    let chain = Certificate::read_all(&chain).map_err(Unservable::from)?;
    let key = String::from_utf8(key).map_err(|_| Unservable::Key)?;
    Ok(served.serve(&chain, &PrivateKey::new(key), Source::Directory)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use control::{Clock as _, SystemClock};

    use super::super::authority::{new_authority, new_leaf};
    use super::super::rotation::Span;
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_pair_is_taken_as_one_unit_and_a_bad_one_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (clock, metrics) = (Arc::new(SystemClock), Metrics::default());
        let now = clock.now();
        let served = CertificateState::new(clock, metrics);
        let pair = |seconds: u64| {
            let span = Span::issued(now, Duration::from_secs(seconds));
            let (authority, key) = new_authority(span).unwrap();
            new_leaf(&["localhost".to_owned()], span, (&authority, &key)).unwrap()
        };
        let put = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        let ((first, first_key), (second, second_key)) = (pair(600), pair(900));

        assert!(load(directory.path(), &served).is_err() && !served.is_valid(now));
        put("tls.crt", &first.pem());
        put("tls.key", first_key.expose());
        load(directory.path(), &served).unwrap();
        assert_eq!(served.expires_at(), Some(first.span.not_after));

        put("tls.crt", &second.pem());
        let error = load(directory.path(), &served).unwrap_err().to_string();
        assert!(error.contains("do not belong together"), "{error}");
        put("tls.key", "garbage");
        assert_eq!(load(directory.path(), &served).unwrap_err().to_string(), "the key cannot be read");
        assert_eq!(served.expires_at(), Some(first.span.not_after), "what was served is served on");

        put("tls.key", second_key.expose());
        load(directory.path(), &served).unwrap();
        assert_eq!(served.expires_at(), Some(second.span.not_after));
        assert!(served.is_valid(now) && !served.is_valid(second.span.not_after));
    }
}
