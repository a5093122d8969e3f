//! Tries a message before it is sent: with a recipient who has nothing, and with all its branches.

use crate::messages::template::{
    Template, TemplateError, TemplatePart, TemplateRecipient, TemplateValues, WorkBudget, scan,
};
use crate::recipients::recipient::RecipientFields;

/// Renders the parts of a message, each part with what the others have left of a
/// letter's budget.
pub(super) struct Trial {
    /// A recipient without name and attributes.
    nobody: TemplateValues,
    of_nobody: WorkBudget,
    /// A recipient who has everything.
    usual: TemplateValues,
    of_usual: WorkBudget,
}

impl Default for Trial {
    fn default() -> Self {
        let attributes = serde_json::Map::new();
        let person = |fields| TemplateRecipient {
            email: "somebody@example.org",
            fields,
            attributes: &attributes,
        };
        let url = "https://example.org/u/token";
        let (none, named) = (
            RecipientFields::default(),
            RecipientFields::from_name("Somebody Usual-Name"),
        );
        Self {
            nobody: TemplateValues::new(&person(&none), url),
            of_nobody: WorkBudget::letter(),
            usual: TemplateValues::usual(&person(&named), url),
            of_usual: WorkBudget::letter(),
        }
    }
}

impl Trial {
    /// Why letters would fail, or take too long.
    pub(super) fn failed(
        &self,
        part: TemplatePart,
        source: &str,
        template: &Template,
    ) -> Option<TemplateError> {
        let filters = scan::pieces(source).and_then(|pieces| scan::check_filters(&pieces));
        let rendered = |template: &Template, values, budget| {
            template.render_within(values, budget).map(|_| ())
        };
        filters
            .and_then(|()| rendered(template, &self.nobody, &self.of_nobody))
            .and_then(|()| {
                let all = Template::compile_trial(part, source)?;
                let tried = rendered(&all, &self.usual, &self.of_usual);
                // with made-up values, other errors say nothing about letters
                tried.or_else(|error| {
                    if error.is_too_slow() {
                        Err(error)
                    } else {
                        Ok(())
                    }
                })
            })
            .err()
    }
}
