use super::*;

const FROM: &str = "news@example.org";
const TO: &str = "Ann@customer.example";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// The sender: their address, domain or signature.
    Sender,
    /// The recipient does not exist.
    Dead,
    /// Something else, or it is unclear.
    Neither,
}

fn said<'a>(phase: &'a str, reply: &'a str) -> ReplyContext<'a> {
    let code: i64 = reply[..3].parse().unwrap();
    let class = match code {
        421 => "closing",
        400..=499 => "temporary",
        530 | 535 => "auth",
        _ => "permanent",
    };
    ReplyContext {
        class,
        phase,
        code: Some(code),
        reply,
        from: FROM,
        to: TO,
    }
}

fn about(said: ReplyContext<'_>) -> About {
    if said.is_dead() {
        About::Dead
    } else if matches!(said.cause(), Cause::Sender | Cause::Authentication) {
        About::Sender
    } else {
        About::Neither
    }
}

/// Replies of servers that refuse the sender, with the phase they occur in.
const OF_THE_SENDER: [(&str, &str); 38] = [
    // Exim: sender verification with a callout; lines of one reply are joined by a space
    (
        "rcpt",
        "550 Verification failed for <news@example.org> No Such User Here Sender verify failed",
    ),
    (
        "rcpt",
        "550 Verification failed for <news@example.org> The mail server could not deliver mail to news@example.org. The account or domain may not exist, they may be blacklisted, or missing the proper dns entries. Sender verify failed",
    ),
    (
        "rcpt",
        "550 Verification failed for <news@example.org> Unrouteable address Sender verify failed",
    ),
    (
        "rcpt",
        "550 Verification failed for <NEWS@Example.ORG> No such person at this address",
    ),
    ("rcpt", "550 Verification failed for <news@example.org>"),
    ("rcpt", "550 Sender verify failed"),
    ("rcpt", "550 адрес отправителя не существует: no such user"),
    ("rcpt", "550 Absender existiert nicht: no such user"),
    ("rcpt", "550 expéditeur inconnu - unknown user"),
    ("rcpt", "550 Remitente desconocido: user unknown"),
    (
        "rcpt",
        "550 Callback setup failed while verifying <news@example.org> (result of an earlier callout reused). User unknown",
    ),
    (
        "rcpt",
        "550 Verification failed for <SRS0=xyz=AB=example.org=news@relay.example> Called: 192.0.2.7 Sent: RCPT TO:<news@example.org> Response: 550 5.1.1 User unknown Sender verify failed",
    ),
    // Postfix: all of these come at RCPT, because smtpd_delay_reject is on
    (
        "rcpt",
        "550 5.1.8 <news@example.org>: Sender address rejected: Domain not found",
    ),
    (
        "rcpt",
        "550 5.1.0 <news@example.org>: Sender address rejected: User unknown in virtual mailbox table",
    ),
    (
        "rcpt",
        "550 5.1.7 <news@example.org>: Sender address rejected: undeliverable address: host mx.example.org[192.0.2.7] said: 550 5.1.1 <news@example.org>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command)",
    ),
    (
        "rcpt",
        "550 5.7.27 <news@example.org>: Sender address rejected: Domain example.org does not accept mail (nullMX)",
    ),
    (
        "rcpt",
        "550 5.1.1 <news@example.org>: Sender address rejected: User unknown in local recipient table",
    ),
    // sendmail, qmail, Courier
    (
        "mail",
        "553 5.1.8 <news@example.org>... Domain of sender address news@example.org does not exist",
    ),
    (
        "rcpt",
        "553 5.1.8 <news@example.org>... Domain of sender address news@example.org does not exist",
    ),
    (
        "rcpt",
        "501 5.1.8 Domain of sender address <news@example.org> does not exist",
    ),
    (
        "rcpt",
        "553 sorry, your envelope sender domain must exist (#5.7.1): example.org does not exist",
    ),
    ("mail", "517 Domain does not exist: example.org."),
    ("rcpt", "517 Domain does not exist: example.org."),
    ("rcpt", "550 5.1.2 example.org: Host not found"),
    // callouts that pass on what our own server said
    (
        "rcpt",
        "550 5.1.1 <news@example.org>: Recipient address rejected: User unknown",
    ),
    ("rcpt", "550 5.1.1 bounce-4711@example.org user unknown"),
    (
        "rcpt",
        "550 Sender callout verification failed: 550 no such user",
    ),
    ("rcpt", "550 Invalid sender: no such mailbox"),
    (
        "rcpt",
        "550 The return path of this message does not exist: no such user",
    ),
    (
        "rcpt",
        "550 5.7.1 Mail from <news@example.org> refused: unknown user",
    ),
    // whatever the words are: before RCPT it is the sender
    ("mail", "550 5.1.1 User unknown"),
    ("mail", "550 No such user here"),
    ("hello", "550 5.1.1 Host unknown"),
    ("greeting", "554 5.1.2 unknown domain"),
    // signatures and policies of the sender's domain
    (
        "rcpt",
        "550 5.7.23 SPF validation failed: domain example.org does not exist",
    ),
    (
        "rcpt",
        "550 SPF: example.org does not exist, mail for ann is rejected",
    ),
    (
        "dot",
        "550-5.7.26 This mail has been blocked because the sender is unauthenticated.",
    ),
    (
        "rcpt",
        "550 5.7.25 DMARC record of the domain does not exist",
    ),
];

/// Replies at RCPT that say that there is no such mailbox, or no such domain.
const OF_NOBODY: [(&str, &str); 36] = [
    // Postfix
    (
        "rcpt",
        "550 5.1.1 <ann@customer.example>: Recipient address rejected: User unknown in virtual mailbox table",
    ),
    (
        "rcpt",
        "550 5.1.1 <ann@customer.example>: Recipient address rejected: User unknown in relay recipient table",
    ),
    (
        "rcpt",
        "550 5.1.1 <ann@customer.example>: Recipient address rejected: undeliverable address: host mx.customer.example[192.0.2.9] said: 550 5.1.1 <ann@customer.example>: User unknown (in reply to RCPT TO command)",
    ),
    (
        "rcpt",
        "556 5.1.10 <ann@customer.example>: Recipient address rejected: Domain customer.example does not accept mail (nullMX)",
    ),
    (
        "rcpt",
        "550 5.1.2 <ann@customer.example>: Recipient address rejected: Domain not found",
    ),
    // Exim, cPanel
    ("rcpt", "550 Unknown user"),
    ("rcpt", "550 Unrouteable address"),
    ("rcpt", "550 No Such User Here"),
    ("rcpt", "550 No such person at this address"),
    ("rcpt", "550 \"No Such User Here\""),
    // Gmail
    (
        "rcpt",
        "550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces. For more information, go to https://support.google.com/mail/?p=NoSuchUser a640c23a62f3a-spf26.1 - gsmtp",
    ),
    // Exchange, Exchange Online, Outlook.com
    (
        "rcpt",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
    ),
    ("rcpt", "550 5.1.1 RESOLVER.ADR.RecipNotFound; not found"),
    ("rcpt", "550 5.1.1 User unknown"),
    (
        "rcpt",
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [DB5EUR01FT010.eop-EUR01.prod.protection.outlook.com]",
    ),
    (
        "rcpt",
        "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).",
    ),
    // Yahoo, iCloud
    (
        "rcpt",
        "554 delivery error: dd This user doesn't have a yahoo.com account (ann@customer.example) [0] - mta1234.mail.bf1.yahoo.com",
    ),
    (
        "rcpt",
        "550 5.1.1 <ann@customer.example>: user does not exist",
    ),
    // Yandex, Mail.ru, Rambler
    ("rcpt", "550 5.7.1 No such user!"),
    (
        "rcpt",
        "550 Message was not accepted -- invalid mailbox. Local mailbox ann@customer.example is unavailable: user not found",
    ),
    (
        "rcpt",
        "550 Message was not accepted -- invalid mailbox.  Local mailbox ann@customer.example is unavailable: user is terminated, no such user",
    ),
    // Zoho, 163.com, Domino, MDaemon, CommuniGate, OpenSMTPD, Kerio
    (
        "rcpt",
        "550 5.1.1 User does not exist - <ann@customer.example>",
    ),
    ("rcpt", "550 User not found: ann@customer.example"),
    (
        "rcpt",
        "550 Ann (ann@customer.example) User not listed in Domino Directory",
    ),
    ("rcpt", "550 <ann@customer.example>, Recipient unknown"),
    ("rcpt", "550 ann@customer.example unknown user account"),
    ("rcpt", "550 Invalid recipient: <ann@customer.example>"),
    (
        "rcpt",
        "550 5.1.1 Mailbox <ann@customer.example> does not exist",
    ),
    // qmail, vpopmail
    ("rcpt", "550 sorry, no mailbox here by that name. (#5.1.1)"),
    (
        "rcpt",
        "511 sorry, no mailbox here by that name (#5.1.1 - chkuser)",
    ),
    // sendmail
    ("rcpt", "550 5.1.1 <ann@customer.example>... User unknown"),
    (
        "rcpt",
        "550 5.1.2 <ann@customer.example>... Host unknown (Name server: customer.example: host not found)",
    ),
    // in upper case, with an alias, and by code alone
    ("rcpt", "550 5.1.1 <ANN@CUSTOMER.EXAMPLE>: USER UNKNOWN"),
    ("rcpt", "550 5.1.1 <ann.b@customer.example>: user unknown"),
    ("rcpt", "550 5.1.1"),
    ("rcpt", "550 5.1.1 User unknown, ask postmaster@isp.example"),
];

/// Replies that say neither, or could mean both.
const UNCLEAR: [(&str, &str); 37] = [
    ("rcpt", "550 5.7.1 Taken for spam"),
    (
        "rcpt",
        "550 5.1.1 <ann@customer.example>: blocked for spam, user unknown",
    ),
    ("rcpt", "552 5.2.2 Mailbox full"),
    ("rcpt", "550 5.1.1 <ann@customer.example>: over quota"),
    (
        "rcpt",
        "550 5.2.1 The email account that you tried to reach is disabled.",
    ),
    (
        "rcpt",
        "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.",
    ),
    (
        "rcpt",
        "554 5.7.1 <ann@customer.example>: Relay access denied",
    ),
    ("rcpt", "550 5.7.1 Unable to relay for ann@customer.example"),
    (
        "rcpt",
        "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
    ),
    (
        "rcpt",
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
    ),
    (
        "rcpt",
        "550 5.7.1 Recipient address rejected: Access denied",
    ),
    (
        "rcpt",
        "550 5.4.1 Recipient address rejected: Access denied",
    ),
    (
        "rcpt",
        "550 Requested action not taken: mailbox unavailable",
    ),
    ("rcpt", "550 Mailbox unavailable or access denied"),
    ("rcpt", "550 #5.1.0 Address rejected."),
    ("rcpt", "550 5.1.0 Address rejected"),
    ("rcpt", "550 Administrative prohibition"),
    ("rcpt", "550 does not exist"),
    ("rcpt", "550 Domain does not exist"),
    ("rcpt", "550 5.1.2 Bad destination system address"),
    ("rcpt", "501 5.1.3 Bad recipient address syntax"),
    ("rcpt", "553 5.1.3 Invalid recipient address syntax"),
    ("rcpt", "554 5.4.6 Too many hops"),
    ("rcpt", "550 5.4.4 Host not found"),
    ("rcpt", "503 5.5.1 MAIL first"),
    ("rcpt", "550 5.5.1 User unknown or password wrong"),
    // another mailbox, to which the recipient's mail is forwarded
    ("rcpt", "550 5.1.1 <bob@elsewhere.example>: user unknown"),
    (
        "rcpt",
        "550 5.1.1 <ann@customer.example>: host mx.elsewhere.example said: 550 5.1.1 <bob@elsewhere.example> user unknown",
    ),
    // not permanent
    (
        "rcpt",
        "450 4.1.1 <ann@customer.example>: Recipient address rejected: unverified address",
    ),
    ("rcpt", "451 4.1.1 User unknown"),
    ("rcpt", "450 4.7.1 Greylisted, no such user yet"),
    ("rcpt", "421 5.1.1 no such user, closing"),
    // about the message
    ("data", "554 5.5.1 Error: no valid recipients"),
    ("dot", "550 5.1.1 User unknown"),
    ("dot", "550 No such user here"),
    ("content", "550 5.1.1 mailbox not found"),
    ("", "550 5.1.1 User unknown"),
];

/// R3: words about the sender take precedence, and a recipient is dead only if the reply is clearly
/// about them.
#[test]
fn replies_say_whom_they_mean() {
    let all = [
        (About::Sender, &OF_THE_SENDER[..]),
        (About::Dead, &OF_NOBODY),
        (About::Neither, &UNCLEAR),
    ];
    let mut wrong = Vec::new();
    for (meant, replies) in all {
        for &(phase, reply) in replies {
            let found = about(said(phase, reply));
            if found != meant {
                wrong.push((meant, found, phase, reply));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// R3: the same words are about the address they name, and an address that looks like a keyword is
/// not one.
#[test]
fn the_addresses_decide() {
    fn dead(from: &str, to: &str, reply: &str) -> bool {
        let said = said("rcpt", reply);
        ReplyContext { from, to, ..said }.is_dead()
    }
    let quoted = "550 5.1.1 <news@example.org>: user unknown";
    assert!(!dead("news@example.org", "ann@example.org", quoted));
    assert!(dead("ann@example.org", "news@example.org", quoted));
    let listed = "550 5.1.1 user unknown, from=news@example.org";
    assert!(!dead("news@example.org", "ann@example.org", listed));
    assert!(!dead("news@example.org", "news@example.org", quoted));
    assert!(dead("info@elsewhere.example", "news@example.org", quoted));
    let verified = "550 Verification failed for <ann@b.example>: no such user";
    assert!(dead("news@example.org", "ann@b.example", verified));
    assert!(!dead("ann@b.example", "ann@b.example", verified));
    let domain = "550 5.1.2 <ann@b.example>: Recipient address rejected: Domain not found";
    assert!(dead("news@example.org", "ann@b.example", domain));
    assert!(!dead("news@b.example", "ann@b.example", domain));
    for to in ["spam@b.example", "sender@b.example", "policy@quota.example"] {
        let reply = format!("550 5.1.1 <{to}>: Recipient address rejected: User unknown");
        assert!(dead(FROM, to, &reply), "{reply}");
    }
    for to in ["no-such-user@b.example", "user.unknown@b.example"] {
        let reply = format!("550 <{to}>: not accepted, see https://b.example/no-such-user");
        assert!(!dead(FROM, to, &reply), "{reply}");
    }
}

/// R3: without addresses, as in reports of older versions, words still decide.
#[test]
fn words_count_without_addresses() {
    let cause = |reply| {
        ReplyContext {
            class: "permanent",
            code: Some(550),
            reply,
            ..ReplyContext::default()
        }
        .cause()
    };
    let ours =
        "550 Verification failed for <news@example.org> No Such User Here Sender verify failed";
    assert_eq!(cause(ours), Cause::Sender);
    assert_eq!(cause("550 No Such User Here"), Cause::MailboxUnknown);
}
