use std::fmt::Write as _;
use std::io::Cursor;

use serde_json::json;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{ListId, UserId};
use skychimp_core::platform::time::Clock;
use skychimp_core::recipients::export::{Export, ExportStyle};
use skychimp_core::recipients::import::{
    self, ColumnTarget, Delimiter, ErrorFile, Hints, ImportOptions, ImportOutcome, ImportProgress,
    RowCounts, TextEncoding, inspect,
};
use skychimp_core::recipients::list::List;
use skychimp_core::recipients::recipient::{
    Attributes, Recipient, RecipientCursor, RecipientDraft, RecipientField, RecipientFields,
    RecipientFilter,
};
use skychimp_core::recipients::suppression::{Suppression, SuppressionReason};
use skychimp_core::testing::{TestDb, user};
use tokio_util::sync::CancellationToken;

use RecipientField::{Comment, Name};

use crate::support::at;

const NOW: &str = "2027-01-01T00:00:00Z";

fn look(file: &[u8]) -> ImportOptions {
    let preview = inspect(file, Hints::default()).unwrap();
    ImportOptions {
        format: preview.format,
        mapping: preview.mapping(),
        list: None,
    }
}

async fn import_with(
    db: &Db,
    owner: UserId,
    file: &[u8],
    options: &ImportOptions,
) -> ImportOutcome {
    import::run(
        db,
        owner,
        Cursor::new(file.to_vec()),
        options,
        None,
        &Clock::fixed(at(NOW)),
        |_| {},
        &CancellationToken::new(),
    )
    .await
    .unwrap()
}

pub async fn import(db: &Db, owner: UserId, file: impl AsRef<[u8]>) -> ImportOutcome {
    let options = look(file.as_ref());
    import_with(db, owner, file.as_ref(), &options).await
}

async fn recipient(db: &Db, owner: UserId, email: &str) -> Recipient {
    let mut tx = db.read().await.unwrap();
    let found = Recipient::by_email(&mut tx, owner, email).await.unwrap();
    found.unwrap()
}

async fn all(db: &Db, owner: UserId) -> Vec<Recipient> {
    let mut tx = db.read().await.unwrap();
    let page = Recipient::page(
        &mut tx,
        owner,
        &RecipientFilter::default(),
        RecipientCursor::First,
        1_000,
    )
    .await
    .unwrap();
    page.rows.into_iter().rev().map(|(r, _)| r).collect()
}

async fn members(db: &Db, owner: UserId, list: ListId) -> i64 {
    let mut tx = db.read().await.unwrap();
    List::members(&mut tx, owner, list).await.unwrap().members
}

/// R8: columns of Russian and English tables are recognised in any case, whatever the delimiter.
#[test]
fn columns_are_recognised() {
    use ColumnTarget::Email;
    let (name, comment) = (
        || ColumnTarget::Field(Name),
        || ColumnTarget::Field(Comment),
    );
    let attribute = |key: &str| ColumnTarget::Attribute(key.to_owned());
    for (file, delimiter, header, mapping) in [
        (
            "E-mail;Full Name;Note;City\na@x.org;A;;b\n",
            Delimiter::Semicolon,
            true,
            vec![Email, name(), comment(), attribute("City")],
        ),
        (
            "ФИО,Эл. почта,Примечание,Дата (рожд.)\nA,a@x.org,,\n",
            Delimiter::Comma,
            true,
            vec![name(), Email, comment(), attribute("Дата _рожд__")],
        ),
        (
            "адрес\tимя\nМосква\tB\n",
            Delimiter::Tab,
            true,
            vec![attribute("адрес"), name()],
        ),
        (
            "АДРЕС\tИмя\na@x.org\tB\n",
            Delimiter::Tab,
            true,
            vec![Email, name()],
        ),
        (
            "куда;кто\n\"a@x.org\";B\n",
            Delimiter::Semicolon,
            true,
            vec![Email, attribute("кто")],
        ),
        (
            "Иванов, Иван;a@x.org;vip;x\nB;b@x.org;;\n",
            Delimiter::Semicolon,
            false,
            vec![name(), Email, comment(), attribute("column_4")],
        ),
        ("a@x.org\nb@x.org\n", Delimiter::Comma, false, vec![Email]),
    ] {
        let preview = inspect(file.as_bytes(), Hints::default()).unwrap();
        assert_eq!(preview.format.delimiter, delimiter, "{file}");
        assert_eq!(preview.format.has_header, header, "{file}");
        assert_eq!(preview.mapping(), mapping, "{file}");
    }
}

/// R4, R8: what earlier versions stored about the columns of an upload is still understood.
#[test]
fn stored_mappings_are_understood() {
    let stored = json!(["email", "name", {"attribute": "x"}, "comment", "ignore"]);
    let mapping: Vec<ColumnTarget> = serde_json::from_value(stored.clone()).unwrap();
    let attribute = ColumnTarget::Attribute("x".to_owned());
    let (name, comment) = (ColumnTarget::Field(Name), ColumnTarget::Field(Comment));
    let expected = [
        ColumnTarget::Email,
        name,
        attribute,
        comment,
        ColumnTarget::Ignore,
    ];
    assert_eq!(mapping, expected);
    assert_eq!(serde_json::to_value(&mapping).unwrap(), stored);
}

/// R8: files of old and new spreadsheets are read with their letters intact.
#[tokio::test]
async fn encodings_are_recognised() {
    let text = "почта;имя\r\nivan@example.org;Иван Ёлкин\r\n";
    let utf16 = |order: fn(u16) -> [u8; 2]| {
        let text = format!("\u{feff}{text}");
        text.encode_utf16().flat_map(order).collect::<Vec<u8>>()
    };
    let mut late = String::from("почта;имя\n").replace("почта;имя", "email;name");
    for i in 0..40_000 {
        writeln!(late, "r{i}@example.org;x").unwrap();
    }
    late.push_str("ivan@example.org;Иван Ёлкин\n");
    let cp1251 = |text: &str| encoding_rs::WINDOWS_1251.encode(text).0.into_owned();
    for (file, encoding) in [
        (text.as_bytes().to_vec(), TextEncoding::Utf8),
        (format!("\u{feff}{text}").into_bytes(), TextEncoding::Utf8),
        (cp1251(text), TextEncoding::Windows1251),
        (utf16(u16::to_le_bytes), TextEncoding::Utf16Le),
        (utf16(u16::to_be_bytes), TextEncoding::Utf16Be),
        (cp1251(&late), TextEncoding::Windows1251),
    ] {
        let db = TestDb::new().await.unwrap();
        let owner = user(&db, "ann", Role::User).await.unwrap();
        assert_eq!(look(&file).format.encoding, encoding);
        let outcome = import(&db, owner, &file).await;
        assert_eq!(outcome.groups.added, outcome.groups.rows(), "{encoding:?}");
        let ivan = recipient(&db, owner, "ivan@example.org").await;
        assert_eq!(ivan.fields.name(), "Иван Ёлкин", "{encoding:?}");
    }
}

/// R8: every row is in one group; bad rows are named by their physical line and stop nothing.
#[tokio::test]
async fn rows_are_in_groups() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    import(
        &db,
        owner,
        "email,name\nold@example.org,Old\nsame@example.org,Same\n",
    )
    .await;
    let mut tx = db.write().await.unwrap();
    let gone = EmailAddress::parse("gone@example.org").unwrap();
    Suppression::add(
        &mut tx,
        owner,
        &gone,
        SuppressionReason::Unsubscribed,
        None,
        at(NOW),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();

    let mut file = "email,name\n\
        new@example.org,\"New\nPerson\"\n\
        new2@example.org,New\n\
        old@example.org,Older and wiser\n\
        SAME@example.org,\n\
        New2@EXAMPLE.org,Twice\n\
        gone@example.org,Gone\n\
        \n\
        nobody,Nobody\n\
        \"open@example.org,x\n\
        a@example.org,b,c\n\
        ю@example.org,Юлия\n\
        "
    .as_bytes()
    .to_vec();
    file.extend_from_slice(b"bytes@example.org,\xff\n,No address\nlast@example.org,Last");
    let mut errors = Vec::new();
    let outcome = import::run(
        &db,
        owner,
        Cursor::new(file.clone()),
        &look(&file),
        Some(ErrorFile::new(&mut errors, ToString::to_string).unwrap()),
        &Clock::fixed(at(NOW)),
        |_| {},
        &CancellationToken::new(),
    )
    .await
    .unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&outcome).unwrap());
    insta::assert_snapshot!(String::from_utf8(errors).unwrap());
    assert_eq!(
        recipient(&db, owner, "old@example.org").await.fields.name(),
        "Older and wiser"
    );
    assert_eq!(
        recipient(&db, owner, "new@example.org").await.fields.name(),
        "New Person"
    );
    let same = recipient(&db, owner, "same@example.org").await;
    assert_eq!((same.fields.name(), same.version), ("Same", 1));
    assert_eq!(
        recipient(&db, owner, "new2@example.org")
            .await
            .fields
            .name(),
        "New"
    );
}

/// R3: an import updates the data of unsubscribed people and leaves them unsubscribed.
#[tokio::test]
async fn import_never_subscribes_again() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let gone = EmailAddress::parse("gone@example.org").unwrap();
    let mut tx = db.write().await.unwrap();
    Suppression::add(
        &mut tx,
        owner,
        &gone,
        SuppressionReason::Unsubscribed,
        None,
        at(NOW),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    for name in ["Gone", "Gone Again"] {
        let outcome = import(&db, owner, format!("email,name\nGone@example.org,{name}\n")).await;
        let groups = RowCounts {
            suppressed: 1,
            ..RowCounts::default()
        };
        assert_eq!(outcome.groups, groups);
        assert_eq!(
            recipient(&db, owner, "gone@example.org")
                .await
                .fields
                .name(),
            name
        );
    }
    let mut tx = db.read().await.unwrap();
    let kept = Suppression::get(&mut tx, owner, &gone).await.unwrap();
    assert!(kept.is_some());
}

/// R8: empty cells change nothing; attributes are merged by name and typed.
#[tokio::test]
async fn empty_cells_change_nothing() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    import(
        &db,
        owner,
        "email;имя;комментарий;город;бонус\na@x.org;Анна;друг;Тверь;007\n",
    )
    .await;
    let outcome = import(
        &db,
        owner,
        "email;имя;комментарий;город;возраст\na@x.org;;;Клин;42\n",
    )
    .await;
    assert_eq!(outcome.groups.updated, 1);
    let anna = recipient(&db, owner, "a@x.org").await;
    assert_eq!(
        (anna.fields.name(), anna.fields[Comment].as_str()),
        ("Анна", "друг")
    );
    assert_eq!(
        serde_json::to_value(&anna.attributes).unwrap(),
        json!({"бонус": "007", "возраст": 42, "город": "Клин"})
    );
}

/// R8: everyone in the file becomes a member of the list, known or new, across several batches.
#[tokio::test]
async fn imported_are_members_of_the_list() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let mut tx = db.write().await.unwrap();
    let list = List::find_or_create(&mut tx, owner, "Customers", at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    import(&db, owner, "email\nr5@example.org\n").await;
    let mut file = String::from("email\n");
    for i in 0..12_000 {
        writeln!(file, "r{i}@example.org").unwrap();
    }
    file.push_str("R7@example.org\nr11999@example.org\n");
    let options = ImportOptions {
        list: Some(list),
        ..look(file.as_bytes())
    };
    let mut last = ImportProgress::default();
    let outcome = import::run(
        &db,
        owner,
        Cursor::new(file.clone().into_bytes()),
        &options,
        None,
        &Clock::fixed(at(NOW)),
        |progress| last = progress,
        &CancellationToken::new(),
    )
    .await
    .unwrap();
    let groups = RowCounts {
        added: 11_999,
        unchanged: 1,
        duplicate: 2,
        ..RowCounts::default()
    };
    assert_eq!(outcome.groups, groups);
    assert_eq!(last.groups, groups);
    assert_eq!(last.bytes_read, file.len() as u64);
    assert_eq!(members(&db, owner, list).await, 12_000);
}

/// R8: recipients keep the order of the file.
#[tokio::test]
async fn order_of_the_file_is_kept() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    import(&db, owner, "email\nz@x.org\na@x.org\nm@x.org\n").await;
    let emails: Vec<_> = all(&db, owner).await.into_iter().map(|r| r.email).collect();
    assert_eq!(emails, ["z@x.org", "a@x.org", "m@x.org"]);
}

/// R33: an import changes only its owner's recipients and cannot fill another user's list.
#[tokio::test]
async fn import_stays_with_its_owner() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    import(&db, ann, "email,name\na@x.org,Ann's\n").await;
    let mut tx = db.write().await.unwrap();
    let list = List::find_or_create(&mut tx, ann, "Customers", at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let file = b"email,name\na@x.org,Bob's\n";
    let options = ImportOptions {
        list: Some(list),
        ..look(file)
    };
    assert_eq!(import_with(&db, bob, file, &options).await.groups.added, 1);
    assert_eq!(recipient(&db, ann, "a@x.org").await.fields.name(), "Ann's");
    assert_eq!(members(&db, ann, list).await, 0);
}

/// R8: a mapping without address, or with two columns for one field, is refused.
#[tokio::test]
async fn wrong_mapping_is_refused() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let mut options = look(b"email,name,x\na@x.org,A,B\n");
    options.mapping = vec![
        ColumnTarget::Field(Name),
        ColumnTarget::Field(Name),
        ColumnTarget::Attribute("a.b".to_owned()),
    ];
    let error = import::run(
        &db,
        owner,
        Cursor::new(Vec::new()),
        &options,
        None,
        &Clock::fixed(at(NOW)),
        |_| {},
        &CancellationToken::new(),
    )
    .await
    .unwrap_err();
    let Error::Invalid(errors) = error else {
        panic!("{error:?}");
    };
    let wrong: Vec<_> = errors.iter().map(|e| (e.field.as_str(), e.code)).collect();
    assert_eq!(
        wrong,
        [
            ("mapping", "no_email_column"),
            ("mapping.1", "column_twice"),
            ("mapping.2", "attribute_key")
        ]
    );
}

/// R8: a cancelled import keeps what it stored and can be run again.
#[tokio::test]
async fn cancelled_import_can_be_run_again() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let mut file = String::from("email\n");
    for i in 0..15_000 {
        writeln!(file, "r{i}@example.org").unwrap();
    }
    let stop = CancellationToken::new();
    let outcome = import::run(
        &db,
        owner,
        Cursor::new(file.clone().into_bytes()),
        &look(file.as_bytes()),
        None,
        &Clock::fixed(at(NOW)),
        |_| stop.cancel(),
        &stop,
    )
    .await
    .unwrap();
    assert!(outcome.cancelled);
    assert_eq!(outcome.groups.added, 500);
    let again = import(&db, owner, &file).await;
    assert_eq!((again.groups.added, again.groups.unchanged), (14_500, 500));
}

/// R8: an export imports back unchanged: types of attributes, line endings, formulas, quotes.
#[tokio::test]
async fn export_imports_back_unchanged() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let drafts = [
        ("a@x.org", "=SUM(A1)", "one\ntwo; \"three\"", json!({})),
        (
            "+b@x.org",
            "'quoted",
            "-x",
            json!({"город": "Тверь", "n": 5, "s": "5"}),
        ),
        (
            "c@x.org",
            "",
            "",
            json!({"n": null, "s": " x ", "t": ["a", 1, true], "e": ""}),
        ),
        (
            "d@x.org",
            "null",
            "5",
            json!({"n": -1.5e300, "s": "+7 999 1", "t": "[1]", "имя": "=1"}),
        ),
        (
            "e@x.org",
            "\"",
            "'=",
            json!({"n": false, "s": "null", "email": "x", "t": "a\nb"}),
        ),
    ];
    let mut tx = db.write().await.unwrap();
    for (email, name, comment, attributes) in drafts {
        let draft = RecipientDraft {
            email: email.to_owned(),
            fields: RecipientFields::from([(Name, name), (Comment, comment)]),
            attributes: serde_json::from_value::<Attributes>(attributes).unwrap(),
        };
        Recipient::create(&mut tx, ann, &draft, at(NOW))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    for (delimiter, mark) in [
        (Delimiter::Comma, false),
        (Delimiter::Semicolon, true),
        (Delimiter::Tab, true),
    ] {
        let style = ExportStyle { delimiter, mark };
        let mut export = Export::begin(&db, ann, RecipientFilter::default(), style)
            .await
            .unwrap();
        let mut file = Vec::new();
        while let Some(piece) = export.next().await.unwrap() {
            file.extend(piece);
        }
        let own = import(&db, ann, &file).await;
        assert_eq!((own.groups.unchanged, own.groups.rows()), (5, 5));
        import(&db, bob, &file).await;
        let plain = |all: Vec<Recipient>| {
            all.into_iter()
                .map(|r| (r.email, r.fields, r.attributes))
                .collect::<Vec<_>>()
        };
        assert_eq!(plain(all(&db, bob).await), plain(all(&db, ann).await));
    }
}

/// R8: an export contains exactly the matching recipients, in pieces.
#[tokio::test]
async fn export_holds_what_matches() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let mut file = String::from("email,city\n");
    for i in 0..4_500 {
        writeln!(file, "r{i}@example.org,x").unwrap();
    }
    import(&db, owner, &file).await;
    let style = ExportStyle {
        delimiter: Delimiter::Comma,
        mark: false,
    };
    for (search, lines, pieces) in [("", 4_501, 3), ("r44", 112, 1), ("nobody", 1, 1)] {
        let filter = RecipientFilter {
            search: search.to_owned(),
            ..RecipientFilter::default()
        };
        let mut export = Export::begin(&db, owner, filter, style).await.unwrap();
        let mut all = Vec::new();
        let mut count = 0;
        while let Some(piece) = export.next().await.unwrap() {
            all.extend(piece);
            count += 1;
        }
        let text = String::from_utf8(all).unwrap();
        assert_eq!((text.lines().count(), count), (lines, pieces), "{search}");
    }
}
