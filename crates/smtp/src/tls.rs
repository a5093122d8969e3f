//! TLS configuration of a server.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::server::{Server, Tls, TrustAnchors};

/// Builds the TLS configuration for this server; the error says why there is none.
pub(crate) fn config(server: &Server) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = if server.tls == Tls::Opportunistic && server.credentials.is_none() {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth()
    } else {
        builder
            .with_root_certificates(roots(&server.roots)?)
            .with_no_client_auth()
    };
    Ok(Arc::new(config))
}

fn roots(roots: &TrustAnchors) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match roots {
        TrustAnchors::System => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                return Err("this system has no trusted certificates".into());
            }
        }
        TrustAnchors::Pem(text) => {
            for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
                let certificate =
                    certificate.map_err(|error| format!("the trusted certificates: {error}"))?;
                store
                    .add(certificate)
                    .map_err(|error| format!("the trusted certificates: {error}"))?;
            }
            if store.is_empty() {
                return Err("the trusted certificates: none found".into());
            }
        }
    }
    Ok(store)
}

/// Accepts any certificate: protects against eavesdroppers where the alternative is clear text (RFC
/// 7435).
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
