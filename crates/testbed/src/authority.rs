//! The cluster's certificates: who may speak, and who is spoken to.
//!
//! One CA signs the servers' certificate and every client's; a different one exists for front proxies only, because the
//! API server refuses to start when a client of the one could pass for the other. All keys are ECDSA P-256 and live as
//! long as the control plane. Knows no file and no server.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SigningKey,
};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag, TagClass};

const CLUSTER_CA: &str = "testbed cluster CA";
const FRONT_PROXY_CA: &str = "testbed front proxy CA";

/// A certificate and its key, both in PEM.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// The cluster CA.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        Ok(Self { issuer: issuer(CLUSTER_CA)? })
    }

    /// The CA itself, with its key: the controller manager signs certificate requests with it.
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials { certificate: self.issuer.pem(), key: self.issuer.key().serialize_pem() }
    }

    pub(crate) fn certificate_der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// For every server of the control plane: they all listen on loopback, and the API server also on its service.
    pub(crate) fn serving(&self, service_ip: Ipv4Addr) -> Result<Credentials, rcgen::Error> {
        let mut params =
            CertificateParams::new(["localhost".to_owned(), "kubernetes.default.svc".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "testbed server");
        for address in [Ipv4Addr::LOCALHOST, service_ip] {
            params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(address)));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Credentials { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// For a client: Kubernetes takes the common name for the user and each organization for a group.
    pub(crate) fn client(&self, user: &str, groups: &[String]) -> Result<Credentials, rcgen::Error> {
        let key = KeyPair::generate()?;
        let unsigned = yasna::construct_der(|writer| write_unsigned(writer, user, groups, &key));
        let signature = self.issuer.key().sign(&unsigned)?;
        let certificate = yasna::construct_der(|writer| {
            writer.write_sequence(|fields| {
                fields.next().write_der(&unsigned);
                write_algorithm(fields.next());
                fields.next().write_bitvec_bytes(&signature, signature.len() * 8);
            });
        });
        Ok(Credentials { certificate: pem(&certificate), key: key.serialize_pem() })
    }
}

/// The front proxy CA's certificate. Nobody holds its key: no front proxy exists yet.
pub(crate) fn front_proxy_ca() -> Result<String, rcgen::Error> {
    issuer(FRONT_PROXY_CA).map(|issuer| issuer.pem())
}

/// The key pair that signs service account tokens: private and public half.
pub(crate) fn service_account_keys() -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn issuer(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

// What follows writes a client's certificate by hand, because rcgen's names hold one organization only and a user of
// Kubernetes may have many groups. RFC 5280, section 4.1.

const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
const CLIENT_AUTHENTICATION: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
const UTC_TIME: Tag = Tag { tag_class: TagClass::Universal, tag_number: 23 };
/// From the epoch, before which rustls takes no time, to where `UTCTime` ends: no test fails because of somebody's clock.
const VALIDITY: [&[u8]; 2] = [b"700101000000Z", b"491231235959Z"];

fn write_unsigned(writer: DERWriter<'_>, user: &str, groups: &[String], key: &KeyPair) {
    writer.write_sequence(|fields| {
        fields.next().write_tagged(Tag::context(0), |version| version.write_u8(2));
        fields.next().write_u64(serial(key));
        write_algorithm(fields.next());
        write_name(fields.next(), CLUSTER_CA, &[]);
        fields.next().write_sequence(|validity| {
            for time in VALIDITY {
                validity.next().write_tagged_implicit(UTC_TIME, |writer| writer.write_bytes(time));
            }
        });
        write_name(fields.next(), user, groups);
        fields.next().write_der(&key.subject_public_key_info());
        fields.next().write_tagged(Tag::context(3), |extensions| {
            extensions.write_sequence(|extensions| {
                extensions.next().write_sequence(|extension| {
                    extension.next().write_oid(&ObjectIdentifier::from_slice(EXTENDED_KEY_USAGE));
                    let usages = yasna::construct_der(|writer| {
                        writer.write_sequence(|usages| {
                            usages.next().write_oid(&ObjectIdentifier::from_slice(CLIENT_AUTHENTICATION));
                        });
                    });
                    extension.next().write_bytes(&usages);
                });
            });
        });
    });
}

fn write_name(writer: DERWriter<'_>, common_name: &str, organizations: &[String]) {
    let organizations = organizations.iter().map(|name| (ORGANIZATION, name.as_str()));
    writer.write_sequence(|parts| {
        for (kind, value) in organizations.chain([(COMMON_NAME, common_name)]) {
            parts.next().write_set(|set| {
                set.next().write_sequence(|attribute| {
                    attribute.next().write_oid(&ObjectIdentifier::from_slice(kind));
                    attribute.next().write_utf8string(value);
                });
            });
        }
    });
}

fn write_algorithm(writer: DERWriter<'_>) {
    writer.write_sequence(|algorithm| {
        algorithm.next().write_oid(&ObjectIdentifier::from_slice(ECDSA_WITH_SHA256));
    });
}

/// Serial numbers only have to differ, as keys do.
fn serial(key: &KeyPair) -> u64 {
    key.der_bytes().iter().rev().take(7).fold(1, |number, byte| (number << 8) | u64::from(*byte))
}

fn pem(der: &[u8]) -> String {
    let text = crate::kubeconfig::base64(der);
    let mut lines = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        lines.push_str(&String::from_utf8_lossy(line));
        lines.push('\n');
    }
    lines + "-----END CERTIFICATE-----\n"
}
