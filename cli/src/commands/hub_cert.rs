//! `docks hub cert`: makes the certificate of a hub, or shows the fingerprint of the one that exists.

use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::client::trust;
use docks_proto::credentials::files;
use docks_proto::hub_certificate::{CertificateRequest, CertificateResponse};
use docks_proto::settings::CertificatePin;

use crate::args::{Format, HubCert};
use crate::ask::DaemonEndpoint;
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, Kind, settings_failure};
use crate::helper_process::{self, HelperError};
use crate::output::table::{Column, Shrink};

/// Clocks of other machines may be this far behind.
const EARLIER: Duration = Duration::from_secs(86_400);

/// Prints the fingerprint to stdout, and how to use it to stderr.
pub(super) fn run(context: &Context, args: &HubCert) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let files = CertificateFiles {
        certificate: endpoint.places.hub_certificate_file(),
        key: endpoint.places.hub_key_file(),
    };
    let exists = files.certificate.exists();
    if exists && !args.force && !args.name.is_empty() {
        let path = files.certificate.display();
        return Err(
            Failure::failed(format!("there is a certificate already: {path}")).hint(
                "--force replaces it; profiles that have pinned the old one must then pin the new one",
            ),
        );
    }
    let is_new = !exists || args.force;
    let names = if is_new {
        make(context, &endpoint, args, &files)?
    } else {
        Vec::new()
    };
    let pin = fingerprint(&files.certificate)?;
    if context.global.format != Format::Table {
        let column = |name: &'static str| Column::new(name, Shrink::Never);
        let columns = ["fingerprint", "certificate", "key"].map(column);
        let path = |path: &Path| path.display().to_string();
        let row = vec![pin.to_string(), path(&files.certificate), path(&files.key)];
        let format = context.global.format;
        context.output.records(format, columns.into(), &[row]);
        return Ok(());
    }
    context.output.line(pin.to_string());
    if is_new {
        context.output.message(format!(
            "a certificate was made: {}, for {}",
            files.certificate.display(),
            names.join(", ")
        ));
    }
    context
        .output
        .message("share jobs with it: docks hub serve --harbor DIR --listen 0.0.0.0:7433");
    context.output.message(format!(
        "sign in from another machine: docks auth login -p NAME --api-url https://HOST:7433 \
         --tenant local --pin {pin}"
    ));
    Ok(())
}

/// Where certificate and key are.
pub(super) struct CertificateFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// Makes a certificate and writes it; returns the names in it.
fn make(
    context: &Context,
    endpoint: &DaemonEndpoint,
    args: &HubCert,
    files: &CertificateFiles,
) -> Result<Vec<String>, Failure> {
    let now_s = context.now.0 / 1_000;
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let request = CertificateRequest {
        names: args.name.clone(),
        from_s: now_s - seconds(EARLIER),
        until_s: now_s + i64::from(args.days) * seconds(Duration::from_secs(86_400)),
    };
    let failed =
        |reason: String| Failure::failed(format!("could not make a certificate: {reason}"));
    let asked = helper_process::ask(&endpoint.environment, "certificate", &request);
    match asked {
        Ok(CertificateResponse::Made {
            certificate,
            key,
            names,
        }) => {
            // The key first: a hub that reads the files in between keeps the old pair.
            for (path, text) in [(&files.key, &key), (&files.certificate, &certificate)] {
                files::write_private(path, text).map_err(|e| settings_failure(&e))?;
            }
            Ok(names)
        }
        Ok(CertificateResponse::Failed { reason }) => Err(failed(reason)),
        Err(HelperError::Failed(reason)) => Err(failed(reason)),
        Err(HelperError::Silent) => Err(failed("docksd did not answer in time".to_owned())),
    }
}

/// Returns the fingerprint of the first certificate in a PEM file.
fn fingerprint(path: &Path) -> Result<CertificatePin, Failure> {
    let found = trust::read_certificates(path)
        .map_err(|e| Failure::chain(Kind::Failed, "could not read the certificate", &e))?;
    let first = found
        .first()
        .expect("a file without a certificate is an error");
    Ok(CertificatePin::of_der(first))
}
