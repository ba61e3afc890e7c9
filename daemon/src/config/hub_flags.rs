//! Settings of a hub, from flags and from `daemon.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml_edit::Item;

use super::file::text;
use super::hub::HubOptions;

/// Options of a hub; `docks hub serve` gives them.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Sharing with other machines")]
pub struct HubFlags {
    /// Share a jobs directory on this address, for instance 127.0.0.1:7433
    #[arg(long, value_name = "ADDRESS")]
    hub_listen: Option<SocketAddr>,
    /// The jobs directory to share
    #[arg(long, value_name = "DIR")]
    hub_harbor: Option<PathBuf>,
    /// Certificate of the hub, a PEM file
    #[arg(long, value_name = "FILE")]
    hub_tls_cert: Option<PathBuf>,
    /// Its private key, a PEM file
    #[arg(long, value_name = "FILE")]
    hub_tls_key: Option<PathBuf>,
    /// File with the hub's token, made when it is missing
    #[arg(long, value_name = "FILE")]
    hub_token_file: Option<PathBuf>,
    /// Ask for no token; on this machine only
    #[arg(long)]
    hub_no_token: bool,
    /// Listen beyond this machine without TLS
    #[arg(long)]
    hub_insecure: bool,
    /// Let nobody stop anything through the hub
    #[arg(long)]
    hub_read_only: bool,
    /// Address under which others reach the hub, when a proxy stands before it
    #[arg(long, value_name = "URL")]
    hub_url: Option<String>,
}

impl HubFlags {
    /// Returns what they say.
    pub(super) fn options(&self) -> HubOptions {
        HubOptions {
            listen: self.hub_listen,
            jobs: self.hub_harbor.clone(),
            certificate: self.hub_tls_cert.clone(),
            key: self.hub_tls_key.clone(),
            token_file: self.hub_token_file.clone(),
            no_token: self.hub_no_token,
            insecure: self.hub_insecure,
            read_only: self.hub_read_only,
            url: self.hub_url.clone(),
        }
    }
}

/// The `hub_` keys of `daemon.toml`; an empty text is as good as none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HubFile {
    listen: Option<String>,
    harbor: Option<String>,
    tls_cert: Option<String>,
    tls_key: Option<String>,
    url: Option<String>,
    no_token: Option<bool>,
    insecure: Option<bool>,
    read_only: Option<bool>,
}

impl HubFile {
    /// Takes a key; tells whether it is one of ours.
    ///
    /// # Errors
    ///
    /// What is wrong with its value.
    pub(super) fn take(&mut self, key: &str, item: &Item) -> Result<bool, String> {
        let texts = [
            ("hub_listen", &mut self.listen),
            ("hub_harbor", &mut self.harbor),
            ("hub_tls_cert", &mut self.tls_cert),
            ("hub_tls_key", &mut self.tls_key),
            ("hub_url", &mut self.url),
        ];
        for (name, place) in texts {
            if name == key {
                let said = text(item)?;
                if name == "hub_listen" {
                    address(Some(said))?;
                }
                *place = Some(said.to_owned());
                return Ok(true);
            }
        }
        let switches = [
            ("hub_no_token", &mut self.no_token),
            ("hub_insecure", &mut self.insecure),
            ("hub_read_only", &mut self.read_only),
        ];
        for (name, place) in switches {
            if name == key {
                *place = Some(item.as_bool().ok_or("it must be true or false")?);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns what the file says.
    pub(super) fn options(&self) -> HubOptions {
        let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let path = |text| set(text).map(PathBuf::from);
        HubOptions {
            listen: address(self.listen.as_deref()).unwrap_or_default(),
            jobs: path(&self.harbor),
            certificate: path(&self.tls_cert),
            key: path(&self.tls_key),
            token_file: None,
            no_token: self.no_token.unwrap_or_default(),
            insecure: self.insecure.unwrap_or_default(),
            read_only: self.read_only.unwrap_or_default(),
            url: set(&self.url),
        }
    }
}

fn address(text: Option<&str>) -> Result<Option<SocketAddr>, String> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            format!("it must be an address and a port, such as 127.0.0.1:7433, not `{text}`")
        }),
    }
}
