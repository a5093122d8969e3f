//! The second factor: six digits of an authenticator (TOTP, RFC 6238), and recovery codes for when it is lost.
//!
//! The secret is stored sealed ([`SealingKey`], bound to its account) and the recovery codes as keyed hashes, both
//! with keys of the service's secret: a stolen copy of the database alone gives neither.
//!
//! *Invariants*: a second factor counts only after a code has shown that it works. A code is good once: the step of the
//! last one is kept, and of two who bring the same code at once one gets in. A recovery code is good once, too.
//!
//! *Design note*: the recovery codes are made from the secret, so that they can be shown beside it for as long as it is being
//! set up, and never again.

use totp_rs::{Builder, Totp};

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::secret::{SealingKey, SecretKey, SigningKey};
use crate::platform::time::Moment;

/// How many recovery codes there are.
pub const RECOVERY_CODES: u8 = 10;
/// Bytes of a secret, as RFC 4226 §4 asks for.
const SECRET: usize = 20;
/// The digits of RFC 4648's base 32 in lower case; people read and type them.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Seals secrets and knows recovery codes.
#[derive(Clone)]
pub struct SecondFactorKey {
    seal: SealingKey,
    codes: SigningKey,
}

impl std::fmt::Debug for SecondFactorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecondFactorKey(…)")
    }
}

impl SecondFactorKey {
    /// The keys of this service.
    #[must_use]
    pub fn new(secret: &SecretKey) -> Self {
        Self {
            seal: secret.sealing("second factor"),
            codes: secret.derive("recovery codes"),
        }
    }

    fn seal(&self, user: UserId, secret: &[u8]) -> Vec<u8> {
        self.seal.seal(user.0.as_bytes(), secret)
    }

    fn open(&self, user: UserId, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let opened = self.seal.open(user.0.as_bytes(), sealed);
        opened.map_err(|error| Error::Internal(format!("a second factor: {error}")))
    }

    /// The recovery code with this number: 80 bits in four groups.
    fn recovery_code(&self, secret: &[u8], number: u8) -> String {
        let bytes = self.codes.sign(&[secret, &[number]].concat());
        let code = bytes[..16]
            .iter()
            .map(|byte| DIGITS[usize::from(byte & 31)]);
        let mut text = String::with_capacity(19);
        for (n, digit) in code.enumerate() {
            if n > 0 && n % 4 == 0 {
                text.push('-');
            }
            text.push(char::from(digit));
        }
        text
    }

    fn hash_of(&self, user: UserId, code: &str) -> Vec<u8> {
        let mut message = user.0.as_bytes().to_vec();
        message.extend(
            code.bytes()
                .filter(u8::is_ascii_alphanumeric)
                .map(|byte| byte.to_ascii_lowercase()),
        );
        self.codes.sign(&message).to_vec()
    }
}

/// A second factor that is being set up; for the eyes of its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The secret for typing: base 32, in groups of four.
    pub secret: String,
    /// The address that authenticators read from a QR code.
    pub url: String,
    /// The recovery codes.
    pub codes: Vec<String>,
}

/// What somebody proved himself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A code of the authenticator.
    Code,
    /// A recovery code; so many are left.
    Recovery(i64),
}

/// See the module.
#[derive(Debug)]
pub struct SecondFactor;

impl SecondFactor {
    /// Begins to set one up, with a new secret. One that is on stays as it is: it is turned off first. False for an account
    /// whose address is not verified: who made it with another's address would keep the key to it.
    pub async fn begin(tx: &mut Tx, key: &SecondFactorKey, user: UserId) -> Result<bool, Error> {
        let secret: [u8; SECRET] = rand::random();
        let rows = on_db!(tx, conn => sqlx::query(
            "INSERT INTO second_factors (user_id, sealed, last_step)
             SELECT id, $2, 0 FROM users WHERE id = $1 AND verified_at IS NOT NULL
             ON CONFLICT (user_id) DO UPDATE SET sealed = $2
             WHERE second_factors.confirmed_at IS NULL",
        )
        .bind(user)
        .bind(key.seal(user, &secret))
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// What is being set up, if anything. `issuer` and `account` are what the authenticator shows.
    pub async fn setup(
        tx: &mut Tx,
        key: &SecondFactorKey,
        user: UserId,
        issuer: &str,
        account: &str,
    ) -> Result<Option<Setup>, Error> {
        let Some(secret) = Self::secret(tx, key, user, false).await? else {
            return Ok(None);
        };
        let totp = totp(&secret, issuer, account)?;
        Ok(Some(Setup {
            url: totp
                .to_url()
                .map_err(|error| Error::Internal(error.to_string()))?,
            secret: in_groups(&totp.secret().to_base32()),
            codes: (0..RECOVERY_CODES)
                .map(|n| key.recovery_code(&secret, n))
                .collect(),
        }))
    }

    /// Turns on what was set up, when `code` is right.
    pub async fn confirm(
        tx: &mut Tx,
        key: &SecondFactorKey,
        user: UserId,
        code: &str,
        now: Moment,
    ) -> Result<bool, Error> {
        let Some(secret) = Self::secret(tx, key, user, false).await? else {
            return Ok(false);
        };
        let Some(step) = step_of(&secret, code, now)? else {
            return Ok(false);
        };
        let rows = on_db!(&mut *tx, conn => sqlx::query(
            "UPDATE second_factors SET confirmed_at = $2, last_step = $3
             WHERE user_id = $1 AND confirmed_at IS NULL",
        )
        .bind(user)
        .bind(now)
        .bind(step)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if rows == 0 {
            return Ok(false);
        }
        for number in 0..RECOVERY_CODES {
            let hash = key.hash_of(user, &key.recovery_code(&secret, number));
            on_db!(&mut *tx, conn => sqlx::query(
                "INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)",
            )
            .bind(user)
            .bind(hash)
            .execute(conn)
            .await
            .map(|_| ()))?;
        }
        Ok(true)
    }

    /// Since when it is on; `None`: it is not.
    pub async fn on_since(tx: &mut Tx, user: UserId) -> Result<Option<Moment>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT confirmed_at FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL",
        )
        .bind(user)
        .fetch_optional(conn)
        .await)?)
    }

    /// How many recovery codes are left.
    pub async fn codes_left(tx: &mut Tx, user: UserId) -> Result<i64, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT count(*) FROM recovery_codes WHERE user_id = $1",
        )
        .bind(user)
        .fetch_one(conn)
        .await)?)
    }

    /// Spends a code of the authenticator or a recovery code; `None` when it is neither, or was used.
    pub async fn prove(
        tx: &mut Tx,
        key: &SecondFactorKey,
        user: UserId,
        code: &str,
        now: Moment,
    ) -> Result<Option<Proof>, Error> {
        let Some(secret) = Self::secret(tx, key, user, true).await? else {
            return Ok(None);
        };
        if let Some(step) = step_of(&secret, code, now)? {
            let rows = on_db!(tx, conn => sqlx::query(
                "UPDATE second_factors SET last_step = $2 WHERE user_id = $1 AND last_step < $2",
            )
            .bind(user)
            .bind(step)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?;
            return Ok((rows == 1).then_some(Proof::Code));
        }
        let rows = on_db!(&mut *tx, conn => sqlx::query(
            "DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2",
        )
        .bind(user)
        .bind(key.hash_of(user, code))
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(match rows {
            1 => Some(Proof::Recovery(Self::codes_left(tx, user).await?)),
            _ => None,
        })
    }

    /// Turns it off, with its recovery codes. False when it was not on.
    pub async fn remove(tx: &mut Tx, user: UserId) -> Result<bool, Error> {
        let was_on = Self::on_since(tx, user).await?.is_some();
        for sql in [
            "DELETE FROM recovery_codes WHERE user_id = $1",
            "DELETE FROM second_factors WHERE user_id = $1",
        ] {
            on_db!(&mut *tx, conn => sqlx::query(sql)
                .bind(user)
                .execute(conn)
                .await
                .map(|_| ()))?;
        }
        Ok(was_on)
    }

    async fn secret(
        tx: &mut Tx,
        key: &SecondFactorKey,
        user: UserId,
        confirmed: bool,
    ) -> Result<Option<Vec<u8>>, Error> {
        let sealed: Option<Vec<u8>> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT sealed FROM second_factors WHERE user_id = $1 AND (confirmed_at IS NOT NULL) = $2",
        )
        .bind(user)
        .bind(confirmed)
        .fetch_optional(conn)
        .await)?;
        sealed.map(|sealed| key.open(user, &sealed)).transpose()
    }
}

/// As people read letters to each other.
fn in_groups(text: &str) -> String {
    let groups = text.as_bytes().chunks(4);
    let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
    groups.join(" ")
}

fn totp(secret: &[u8], issuer: &str, account: &str) -> Result<Totp, Error> {
    // a colon would end the name
    Builder::new()
        .with_secret(secret.to_vec())
        .with_issuer(Some(issuer.replace(':', " ")))
        .with_account_name(account.replace(':', " "))
        .build()
        .map_err(|error| Error::Internal(error.to_string()))
}

/// The step whose code this is: the present one, or one beside it, since clocks differ.
fn step_of(secret: &[u8], code: &str, now: Moment) -> Result<Option<i64>, Error> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let seconds = u64::try_from(now.millis() / 1_000).unwrap_or(0);
    let step = totp(secret, "", "")?.check(&digits, seconds);
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}
