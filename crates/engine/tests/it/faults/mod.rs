//! What can go wrong with a mail server, by scenario: the real engine and database with a scripted
//! or an independent server. Every test ends by checking the ledger (`World::settle`).
//!
//! | scenario | fault | expected | tests |
//! |---|---|---|---|
//! | 1 | none, pipelined | every letter once, every row with a 250 | `peers`, `clean` |
//! | 2 | the server dies at the dot | in doubt, one retry, same Message-ID | `dot` |
//! | 3 | 421 at the dot | that letter deferred, the others untouched, back-off | `dot` |
//! | 4 | 250, then 421 for the next MAIL | no deferred row, the limit is remembered | `limits` |
//! | 5 | silent close after the 20th 250 | as 4 | `limits` |
//! | 6 | greylisting | deferred, delivered at the second try | `refusals` |
//! | 7 | 550, 450 and 250 mixed | each row right, the good ones once | `refusals`, `peers` |
//! | 8 | all recipients refused, DATA accepted | a lone dot, no delivery | `refusals` |
//! | 9 | the 6th connection gets 421 | five continue, no letter fails | `limits` |
//! | 10 | slow at RCPT and at the dot | no timeout, no second copy | `slow` |
//! | 11 | the reply to the dot comes very late | it is awaited, one copy | `slow` |
//! | 12 | the server stops reading | no deadlock, one attempt | `slow` |
//! | 13 | no PIPELINING (none, HELO, mangled, after STARTTLS) | strictly serial | `protocol` |
//! | 14 | 550 during the content | failed with that text, no retry | `dot` |
//! | 15 | malformed replies | deferred or in doubt, never a false "sent" | `protocol` |
//! | 16 | TLS fails, expired certificate, injected octets | nothing sent, reason shown | `secure` |
//! | 17 | killed senders, database away, full disk | nothing lost | `crash`, `make chaos` |
//! | 18 | resets, slow link | nothing lost, it recovers | `network` |
//! | 19 | name does not resolve, or connection refused | waits and recovers | `network`, `names` |
//! | 20 | login revoked, quota used up | the server pauses, no letter fails | `secure` |
//! | 21 | pause, disable, block, unsubscribe, end | nothing sent 1 s later | `stops`, `nodes` |
//!
//! In 17, second copies are in doubt; `names` is a test of the program. Scenarios that need minutes
//! are shortened here; `make soak` runs them in full.

mod dot;
mod limits;
mod network;
mod peers;
mod protocol;
mod refusals;
mod secure;
mod slow;
