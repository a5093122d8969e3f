//! Groups the replies of mail servers by what they have in common.

/// Approximate maximum length of a group, in bytes. Longer ones do not help the reader.
const GROUPS_MAX: usize = 200;

/// Removes from a reply what differs from letter to letter: queue ids, session ids, addresses, long
/// numbers.
///
/// Words that contain `@`, mix letters with several digits, or have more than four digits become
/// `…`. Codes (`550`, `5.1.1`) and links are kept, because they say what is wrong.
#[must_use]
pub fn reply_group(reply: &str) -> String {
    let mut group = String::with_capacity(reply.len().min(GROUPS_MAX));
    for word in reply.split_whitespace() {
        if group.len() >= GROUPS_MAX {
            break;
        }
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        let kept = if varies(word, core) { "…" } else { word };
        // collapse several in a row into one
        if kept == "…" && group.ends_with('…') {
            continue;
        }
        if !group.is_empty() {
            group.push(' ');
        }
        group.push_str(kept);
    }
    group
}

fn varies(word: &str, core: &str) -> bool {
    if word.contains('@') {
        return true;
    }
    if core.starts_with("http://") || core.starts_with("https://") {
        return false;
    }
    let digits = core.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 {
        return false;
    }
    let code = core.bytes().all(|b| b.is_ascii_digit() || b == b'.') && core.len() <= 8;
    if code {
        return digits > 4 && !core.contains('.');
    }
    // words such as `TLSv1` or `smtp2` contain a digit too; ids have several
    let letters = core.bytes().filter(u8::is_ascii_alphabetic).count();
    digits >= 3 || (digits >= 2 && letters >= 2 && core.len() >= 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R29: replies that differ only in ids and addresses form one group.
    #[test]
    fn ids_and_addresses_do_not_matter() {
        for (one, two) in [
            (
                "550 5.1.1 <ann@example.org>: Recipient address rejected: User unknown",
                "550 5.1.1 <bob@example.net>: Recipient address rejected: User unknown",
            ),
            (
                "450 4.2.0 try again later, session a1B2c3D4e5",
                "450 4.2.0 try again later, session 9f8E7d6C5b",
            ),
            (
                "421-4.7.28 Our system has detected an unusual rate 5b1f17b1804b1-42ab312.14 - gsmtp",
                "421-4.7.28 Our system has detected an unusual rate 5b1f17b1804b1-99cd442.77 - gsmtp",
            ),
        ] {
            assert_eq!(reply_group(one), reply_group(two));
        }
    }

    /// R29: replies with different codes form different groups, and links are kept.
    #[test]
    fn codes_and_words_matter() {
        assert_ne!(reply_group("550 5.1.1 no"), reply_group("550 5.7.1 no"));
        assert_ne!(reply_group("450 busy"), reply_group("451 busy"));
        assert_eq!(
            reply_group("554 5.7.1 see https://example.org/e1234567 for help"),
            "554 5.7.1 see https://example.org/e1234567 for help"
        );
    }
}
