//! The second factor: six-digit codes of an authenticator (TOTP, RFC 6238), and recovery codes for
//! when it is lost.
//!
//! The secret is stored encrypted ([`SealingKey`], bound to its account), the recovery codes as
//! keyed hashes. Both keys derive from the service's secret, so a stolen copy of the database alone
//! reveals neither.
//!
//! *Invariants*: a second factor counts only after a code has proved that it works. A code works
//! once: the time step of the last one is stored, and of two concurrent uses one succeeds. A
//! recovery code works once too.
//!
//! *Design note*: recovery codes derive from the secret, so they can be shown during setup, and
//! only then.

use totp_rs::{Builder, Totp};

use crate::accounts::login_step::{LoginStep, StepKind};
use crate::accounts::token::Token;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::secret::{SealingKey, SecretKey, SigningKey};
use crate::platform::time::Timestamp;

/// Number of recovery codes.
pub const RECOVERY_CODES: u8 = 10;
/// Length of a secret in bytes, as RFC 4226 §4 recommends.
const SECRET_BYTES: usize = 20;
/// The base 32 alphabet of RFC 4648 in lower case, because people read and type the codes.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Encrypts secrets and derives recovery codes.
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
    /// Derives the keys from the service's secret.
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

/// A second factor during setup, to be shown to its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The secret for typing: base 32, in groups of four.
    pub secret: String,
    /// The `otpauth` URL for the QR code.
    pub url: String,
    /// The recovery codes.
    pub codes: Vec<String>,
}

/// What the user identified with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A code of the authenticator.
    Code,
    /// A recovery code; holds how many are left.
    Recovery(i64),
}

/// How a login goes on after a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecondStep {
    /// The code was wrong.
    Wrong,
    /// The login has ended in the meantime, by a change of the password or a block.
    Ended,
    /// The user is logged in.
    Done(LoginStep, Proof),
}

/// The second factor of an account.
#[derive(Debug)]
pub struct SecondFactor;

impl SecondFactor {
    /// Starts the setup with a new secret, replacing an unfinished one. False when it is already
    /// on, or when the account's address is not verified: a person who registered somebody else's
    /// address would keep a key to it.
    pub async fn begin(tx: &mut Tx, key: &SecondFactorKey, user: UserId) -> Result<bool, Error> {
        let secret: [u8; SECRET_BYTES] = rand::random();
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

    /// The pending setup, if any. The authenticator shows `issuer` and `account`.
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

    /// Turns on the pending second factor if `code` is correct.
    pub async fn confirm(
        tx: &mut Tx,
        key: &SecondFactorKey,
        user: UserId,
        code: &str,
        now: Timestamp,
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

    /// When it was turned on; `None` if it is off.
    pub async fn on_since(tx: &mut Tx, user: UserId) -> Result<Option<Timestamp>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT confirmed_at FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL",
        )
        .bind(user)
        .fetch_optional(conn)
        .await)?)
    }

    /// Whether it is on, so that login asks for a code.
    pub async fn is_on(tx: &mut Tx, user: UserId) -> Result<bool, Error> {
        Ok(Self::on_since(tx, user).await?.is_some())
    }

    /// Number of unused recovery codes.
    pub async fn codes_left(tx: &mut Tx, user: UserId) -> Result<i64, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT count(*) FROM recovery_codes WHERE user_id = $1",
        )
        .bind(user)
        .fetch_one(conn)
        .await)?)
    }

    /// Uses up an authenticator code or a recovery code; `None` when it is wrong or already used.
    pub async fn verify_code(
        tx: &mut Tx,
        key: &SecondFactorKey,
        user: UserId,
        code: &str,
        now: Timestamp,
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

    /// Finishes the login in progress of `token` with a code. Commit only if it is
    /// [`SecondStep::Done`].
    pub async fn log_in(
        tx: &mut Tx,
        key: &SecondFactorKey,
        token: &Token,
        user: UserId,
        code: &str,
        now: Timestamp,
    ) -> Result<SecondStep, Error> {
        let Some(proof) = Self::verify_code(tx, key, user, code, now).await? else {
            return Ok(SecondStep::Wrong);
        };
        let step = LoginStep::take(tx, token, StepKind::Second, now).await?;
        Ok(step.map_or(SecondStep::Ended, |step| SecondStep::Done(step, proof)))
    }

    /// Turns it off and deletes its recovery codes. False when it was not on.
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

/// Splits text into groups of four, for reading aloud.
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

/// The time step of a code: the current one or a neighbour, because clocks differ.
fn step_of(secret: &[u8], code: &str, now: Timestamp) -> Result<Option<i64>, Error> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let seconds = u64::try_from(now.millis() / 1_000).unwrap_or(0);
    let step = totp(secret, "", "")?.check(&digits, seconds);
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}
