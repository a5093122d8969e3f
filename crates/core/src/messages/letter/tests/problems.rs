use super::*;

#[test]
fn problems_name_field_and_line() {
    let list = |content: &MessageContent| -> Vec<String> {
        let problems = content.check();
        problems
            .iter()
            .map(|p| {
                format!(
                    "{} {:?} {} {}{}",
                    p.field,
                    p.line,
                    p.code,
                    p.detail,
                    if p.warning { " (warning)" } else { "" }
                )
            })
            .collect()
    };
    assert_eq!(
        list(&MessageContent::default()),
        ["subject None required ", "html None content_required "]
    );
    let mut content = content(
        "{{ nmae }}",
        "<p>\n{% set x = 1 %}",
        "a\nb\n{{ attributes.age + 1 }}",
    );
    content.preview_text = "{{ name".to_owned();
    assert_eq!(
        list(&content),
        [
            "subject Some(1) template_unknown_name nmae (warning)",
            "preview_text Some(1) template_unclosed {{",
            "html Some(2) template_statement set",
            "text Some(3) template_value tried to use + operator on unsupported types undefined and number",
        ]
    );
    let errors = FrozenMessage::new(&content, Language::En).unwrap_err();
    assert_eq!(errors.len(), 3);
    assert_eq!(
        FieldError::from(errors[1].clone()).to_string(),
        "html: template statement (line 2, column 4, detail set)"
    );
    let columns: Vec<_> = content.check().iter().map(|p| p.column).collect();
    assert_eq!(columns, [Some(4), Some(1), Some(4), Some(1)]);
    content.subject = "Привет, {{ name }} {{ name | shout }} {{ email | upper }}".to_owned();
    assert_eq!(content.check()[0].column, Some(30));
    content.subject = "{{ name name }} {{ email }}".to_owned();
    assert_eq!(content.check()[0].column, None);
    let long = MessageContent {
        html: Some("x".repeat(1_000_001)),
        ..self::content("Hi", "", "")
    };
    assert_eq!(list(&long), ["html Some(1) template_too_long 1000000"]);
}

#[test]
fn language_follows_the_letter() {
    assert_eq!(Language::of(&content("Привет", "", "x")), Language::Ru);
    assert_eq!(
        Language::of(&content("{{ name }}", "<p>Привет</p>", "")),
        Language::Ru
    );
    assert_eq!(
        Language::of(&content("Hello", "<p>Grüße</p>", "")),
        Language::En
    );
    assert_eq!(Language::from_code("ru"), Some(Language::Ru));
    assert_eq!(Language::from_code("fr"), None);
}
