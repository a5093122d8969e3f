//! The table of columns: the plain fields of a recipient, and all that the rest of the program has
//! to know of them.
//!
//! Form, list, import, export, archive, letters, search and SQL are made from it. A new field is a
//! line in [`RecipientField`], a row in [`COLUMNS`] and a migration; `CONTRIBUTING.md` has the
//! whole list.
//!
//! The address and the attributes are not in it: they have rules of their own.

mod phone;

use std::ops::{Index, IndexMut};

use sqlx::{ColumnIndex, Database, Decode, Row, Type};

use super::tidy;
use crate::platform::address::EmailAddress;
use crate::platform::error::FieldError;

/// A plain field of a recipient: a text that may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientField {
    /// The full name.
    Name,
    /// The phone number.
    Phone,
    /// What the owner noted.
    Comment,
}

/// A row of the table.
#[derive(Debug)]
pub struct ColumnSpec {
    /// The field.
    pub field: RecipientField,
    /// Its name: the column in SQL and in CSV, the key in JSON, the field of a form, the name in
    /// letters. The sentences of the site about it are `recipients-NAME` and
    /// `recipients-hint-NAME`.
    pub name: &'static str,
    /// Longest value, in characters.
    pub max: usize,
    /// How it is typed.
    pub input: Input,
    /// Brings what people type into the form that is stored, before its length and its characters
    /// are checked.
    tidy: fn(&str) -> String,
    /// How the search finds it.
    pub search: Search,
    /// Whether letters may use it.
    pub letters: Letters,
    /// When the list of recipients shows it.
    pub listed: Listed,
    /// An import of a file without a header takes the next free column for it.
    pub by_position: bool,
    /// What people and other services call such a column, in the form that [`plain_heading`] gives.
    headings: &'static [&'static str],
}

/// How a field is typed in a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// One line; the `type` and the `autocomplete` of the HTML field.
    Line(&'static str, &'static str),
    /// Several lines.
    Lines,
}

/// How the search finds a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// It does not.
    No,
    /// By any part, in any case.
    Text,
    /// By any part, and by digits however they are grouped.
    Number,
}

/// Whether letters may use a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    /// It never leaves in a letter.
    No,
    /// As `{{ NAME }}`.
    Yes,
    /// As `{{ NAME }}`. It was an attribute of this name before it was a field, so each stands in
    /// for the other where that one is empty.
    WasAttribute,
}

/// When the list of recipients has a column for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Never.
    No,
    /// Always.
    Always,
    /// When somebody on the page has it.
    WhenKnown,
}

/// The table, in the order of forms and files.
pub const COLUMNS: &[ColumnSpec] = &[
    ColumnSpec {
        field: RecipientField::Name,
        name: "name",
        max: 200,
        input: Input::Line("text", "off"),
        tidy: |text| text.trim().to_owned(),
        search: Search::Text,
        letters: Letters::Yes,
        listed: Listed::Always,
        by_position: true,
        headings: &[
            "name",
            "fullname",
            "имя",
            "фио",
            "полноеимя",
            "имяфамилия",
            "фамилияимя",
            "фамилияимяотчество",
            "имяполностью",
            "клиент",
            "имяклиента",
            "получатель",
            "имяполучателя",
            "recipient",
            "recipientname",
            "contactname",
            "customer",
            "customername",
            "displayname",
        ],
    },
    ColumnSpec {
        field: RecipientField::Phone,
        name: "phone",
        max: phone::PHONE_MAX,
        input: Input::Line("tel", "off"),
        tidy: phone::tidy,
        search: Search::Number,
        letters: Letters::WasAttribute,
        listed: Listed::WhenKnown,
        by_position: false,
        headings: &[
            "phone",
            "phoneno",
            "phonenumber",
            "phone1",
            "phone1value",
            "primaryphone",
            "telephone",
            "telephoneno",
            "telephonenumber",
            "tel",
            "telno",
            "mobile",
            "mobileno",
            "mobilenumber",
            "mobilephone",
            "mobilephonenumber",
            "cell",
            "cellphone",
            "cellphonenumber",
            "msisdn",
            "телефон",
            "тел",
            "телефон1",
            "номертелефона",
            "номертел",
            "контактныйтелефон",
            "мобильный",
            "мобильныйтелефон",
            "мобильныйномер",
            "мобтелефон",
            "мобтел",
            "телефонмобильный",
            "сотовый",
            "сотовыйтелефон",
            "телефонклиента",
        ],
    },
    ColumnSpec {
        field: RecipientField::Comment,
        name: "comment",
        max: super::COMMENT_MAX,
        input: Input::Lines,
        tidy,
        search: Search::No,
        letters: Letters::No,
        listed: Listed::No,
        by_position: true,
        headings: &[
            "comment",
            "comments",
            "note",
            "notes",
            "remark",
            "remarks",
            "комментарий",
            "комментарии",
            "примечание",
            "примечания",
            "заметка",
            "заметки",
        ],
    },
];

impl RecipientField {
    /// All of them, in the order of the table.
    pub const ALL: [Self; COLUMNS.len()] = {
        let mut all = [Self::Name; COLUMNS.len()];
        let mut i = 0;
        while i < COLUMNS.len() {
            all[i] = COLUMNS[i].field;
            assert!(
                all[i] as usize == i,
                "COLUMNS is in the order of RecipientField"
            );
            i += 1;
        }
        all
    };

    /// Its row of the table.
    #[must_use]
    pub const fn spec(self) -> &'static ColumnSpec {
        &COLUMNS[self as usize]
    }

    /// Its name in files, forms, JSON and letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// The field of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// The field that a column of a file is for by its heading, as [`plain_heading`] gives it.
    pub(crate) fn by_heading(heading: &str) -> Option<Self> {
        let is = |field: &Self| field.spec().headings.contains(&heading);
        Self::ALL.into_iter().find(is)
    }

    /// The fields that letters may use.
    pub fn in_letters() -> impl Iterator<Item = Self> {
        let may = |field: &Self| field.spec().letters != Letters::No;
        Self::ALL.into_iter().filter(may)
    }

    /// The field of letters with this name.
    #[must_use]
    pub fn in_letters_as(name: &str) -> Option<Self> {
        Self::in_letters().find(|field| field.name() == name)
    }

    /// Whether an attribute of its name stands in for the field.
    pub(crate) const fn was_attribute(self) -> bool {
        matches!(self.spec().letters, Letters::WasAttribute)
    }

    /// The field that stands in for an attribute that somebody does not have. Before the field
    /// there was, an import made attributes of the columns that it now takes for the field, and
    /// messages use those.
    #[must_use]
    pub fn for_attribute(name: &str) -> Option<Self> {
        Self::by_heading(&plain_heading(name)).filter(|field| field.was_attribute())
    }
}

/// A heading without what people write differently: case, spaces, punctuation, `ё`.
pub(crate) fn plain_heading(heading: &str) -> String {
    let lower = heading.to_lowercase().replace('ё', "е");
    lower.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The plain fields of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecipientFields([String; COLUMNS.len()]);

impl RecipientFields {
    /// Only a name.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self::from([(RecipientField::Name, name)])
    }

    /// The full name; may be empty.
    #[must_use]
    pub fn name(&self) -> &str {
        &self[RecipientField::Name]
    }

    /// The values in the order of the table.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The values that are not empty.
    pub fn non_empty(&self) -> impl Iterator<Item = &str> {
        self.values().filter(|value| !value.is_empty())
    }

    /// Length of all of them, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.0.iter().map(String::len).sum()
    }

    /// These, and for each that is empty that of `old`.
    pub(crate) fn filled_from(&self, old: &Self) -> Self {
        let mut all = self.clone();
        for (new, old) in all.0.iter_mut().zip(&old.0) {
            if new.is_empty() {
                new.clone_from(old);
            }
        }
        all
    }

    /// In the form that is stored, with everything that is wrong with them.
    pub(crate) fn check(&self) -> (Self, Vec<FieldError>) {
        let mut wrong = Vec::new();
        let mut stored = Self::default();
        for field in RecipientField::ALL {
            let spec = field.spec();
            let text = (spec.tidy)(&self[field]);
            let lines = spec.input == Input::Lines;
            wrong.extend(super::text_error(spec.name, &text, spec.max, lines));
            stored[field] = text;
        }
        (stored, wrong)
    }

    /// What the search looks through.
    pub(crate) fn search_text(&self, email: &EmailAddress) -> String {
        let mut search = String::with_capacity(email.key().len() + 2 + self.name().len());
        search.push_str(email.key());
        let mut push = |text: &str| {
            search.push(' ');
            search.push_str(text);
        };
        for field in RecipientField::ALL {
            let text = &self[field];
            match field.spec().search {
                Search::No => {}
                Search::Number if text.is_empty() => {}
                Search::Text => push(&text.to_lowercase()),
                Search::Number => {
                    push(&text.to_lowercase());
                    let digits = digits(text);
                    if !text.contains(&digits) {
                        push(&digits);
                    }
                }
            }
        }
        search
    }
}

impl<const N: usize> From<[(RecipientField, &str); N]> for RecipientFields {
    fn from(values: [(RecipientField, &str); N]) -> Self {
        let mut fields = Self::default();
        for (field, value) in values {
            value.clone_into(&mut fields[field]);
        }
        fields
    }
}

impl Index<RecipientField> for RecipientFields {
    type Output = String;

    fn index(&self, field: RecipientField) -> &String {
        &self.0[field as usize]
    }
}

impl IndexMut<RecipientField> for RecipientFields {
    fn index_mut(&mut self, field: RecipientField) -> &mut String {
        &mut self.0[field as usize]
    }
}

impl<'r, R: Row> sqlx::FromRow<'r, R> for RecipientFields
where
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let mut fields = Self::default();
        for field in RecipientField::ALL {
            fields[field] = row.try_get(field.name())?;
        }
        Ok(fields)
    }
}

/// Those fields of somebody that letters may use; the others are empty. All are empty when there is
/// nobody.
#[derive(Debug)]
pub(crate) struct LetterFields(pub RecipientFields);

impl<'r, R: Row> sqlx::FromRow<'r, R> for LetterFields
where
    R::Database: Database,
    &'static str: ColumnIndex<R>,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let mut fields = RecipientFields::default();
        for field in RecipientField::in_letters() {
            fields[field] = row
                .try_get::<Option<String>, _>(field.name())?
                .unwrap_or_default();
        }
        Ok(Self(fields))
    }
}

/// A part of a statement for each field, with commas between them: `sql_list(|name, i| …)` gets the
/// name of its column and its number from 0. Made of the table alone: no text of people gets into a
/// statement.
pub(crate) fn sql_list(part: impl Fn(&str, usize) -> String) -> String {
    joined(RecipientField::ALL, part)
}

/// The same for the fields that letters may use.
pub(crate) fn sql_list_in_letters(part: impl Fn(&str, usize) -> String) -> String {
    joined(RecipientField::in_letters(), part)
}

fn joined(
    fields: impl IntoIterator<Item = RecipientField>,
    part: impl Fn(&str, usize) -> String,
) -> String {
    let parts = fields.into_iter().enumerate();
    let parts = parts.map(|(i, field)| part(field.name(), i));
    parts.collect::<Vec<_>>().join(", ")
}

/// What a [`Recipient`](super::Recipient) is read from: the columns of the table `recipients`,
/// which is called `alias`.
pub(crate) fn select_list(alias: &str) -> String {
    let fields = sql_list(|name, _| format!("{alias}.{name}"));
    format!(
        "{alias}.id, {alias}.email, {fields}, {alias}.attributes, {alias}.version, {alias}.created_at, {alias}.updated_at"
    )
}

/// The digits of a text.
fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The digits of a search that is a number, when they are grouped in it: it also finds the same
/// number grouped in another way, or not at all.
pub(crate) fn searched_digits(search: &str) -> Option<String> {
    /// With fewer digits than this, it is no part of a phone number.
    const DIGITS_MIN: usize = 3;
    let plus = search.strip_prefix('+').unwrap_or(search);
    let is_number = plus
        .chars()
        .all(|c| c.is_ascii_digit() || crate::platform::csv_writer::is_separator(c));
    let digits = digits(search);
    (is_number && digits.len() >= DIGITS_MIN && digits != search).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R8: the table agrees with itself: names are those of JSON, headings are plain, and none
    /// means two things.
    #[test]
    fn table_is_consistent() {
        let mut seen = std::collections::BTreeSet::from(["email", "attributes", "unsubscribe_url"]);
        for spec in COLUMNS {
            let json = serde_json::to_value(spec.field).unwrap();
            assert_eq!(json, spec.name);
            assert_eq!(RecipientField::from_name(spec.name), Some(spec.field));
            assert!(
                spec.name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            assert!(spec.headings.contains(&plain_heading(spec.name).as_str()));
            for heading in spec.headings {
                assert_eq!(plain_heading(heading), *heading);
                assert!(seen.insert(heading), "{heading} is there twice");
            }
        }
    }

    /// R8: a search is taken for a number when it is nothing but digits in groups.
    #[test]
    fn numbers_are_searched_by_their_digits() {
        for (search, digits) in [
            ("900 123", Some("900123")),
            ("+7 (900) 123-45-67", Some("79001234567")),
            ("+79001234567", Some("79001234567")),
            ("900123", None),
            ("12", None),
            ("1 2", None),
            ("ann 900 123", None),
            ("1+2 3", None),
            ("", None),
        ] {
            assert_eq!(searched_digits(search).as_deref(), digits, "{search}");
        }
    }
}
