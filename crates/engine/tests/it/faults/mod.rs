//! What may go wrong with a mail server, a scenario each: the real engine, a real database, and a server that behaves as
//! scripted (or is a real one that somebody else wrote). Every test settles the ledger at its end: see `testing::settle`.
//!
//! | scenario | the fault | what must be | here |
//! |---|---|---|---|
//! | 1 | none: a clean run, pipelined | every letter once, every row with the server's 250 | `peers`, `clean` |
//! | 2 | the server dies at the dot | in doubt, one retry, the same Message-ID | `dot` |
//! | 3 | 421 at the dot | that letter deferred, the others untouched, back-off | `dot` |
//! | 4 | 250, then 421 for the next MAIL | no deferred row, the limit is remembered | `limits` |
//! | 5 | silent close after the 20th 250 | as 4 | `limits` |
//! | 6 | greylisting | deferred, delivered at the second try | `refusals` |
//! | 7 | 550, 450 and 250 mixed | each row right, the good ones once | `refusals`, `peers` |
//! | 8 | all recipients refused, DATA taken | a lone dot, nobody's delivery | `refusals` |
//! | 9 | the 6th connection gets 421 | five go on, nobody fails | `limits` |
//! | 10 | slow at RCPT and at the dot | no time-out, no second copy | `slow` |
//! | 11 | the reply to the dot comes very late | waited for, one copy | `slow` |
//! | 12 | the server reads no more | no deadlock, one attempt | `slow` |
//! | 13 | no PIPELINING, HELO only, mangled EHLO, gone after STARTTLS | strictly serial | `protocol` |
//! | 14 | 550 while the body is being sent | failed with that text, no retry | `dot` |
//! | 15 | malformed replies | deferred or in doubt, never a false "sent" | `protocol` |
//! | 16 | TLS fails, certificate expired, octets injected | nothing is sent, the reason is told | `secure` |
//! | 17 | killed senders, a database that goes away, a full disk | nothing lost, second copies only in doubt | `crash`, `make chaos` |
//! | 18 | resets, slow link | nothing lost, it goes on by itself | `network` |
//! | 19 | the server's name does not resolve, or nobody listens | it waits and goes on by itself | `network`, the program's `names` |
//! | 20 | login revoked, quota used up | the server pauses, nobody fails | `secure` |
//! | 21 | pause, switch-off, block, unsubscribe, the end | nothing begins to leave a second later, on any node | `stops`, `nodes` |
//!
//! Those that need minutes are shortened here; `make soak` runs them in full.

mod dot;
mod limits;
mod network;
mod peers;
mod protocol;
mod refusals;
mod secure;
mod slow;
