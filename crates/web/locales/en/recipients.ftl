recipients-title = Recipients
recipients-new = New recipient
recipients-import = Import
recipients-import-file = Import a file
recipients-export = Export to CSV
recipients-empty = No recipients yet
recipients-empty-text = Recipients are the people you write to. Import them from a table, or add the first ones by hand. Then write a message and plan a mailing.
recipients-search = Address, name or phone
recipients-list = List
recipients-lists = Lists
recipients-any-list = All lists
recipients-state = Status
recipients-any-state = Any status
recipients-active = Receives letters
recipients-suppressed = Suppressed
recipients-more-than = { $count ->
    [one] More than { $count } recipient
   *[other] More than { $count } recipients
}
recipients-no-matches-hint = Try a different search, or look in all lists and statuses.
recipients-show-all = Show all recipients
recipients-chosen = Selected:
recipients-chosen-actions = Actions for the selected recipients
recipients-all = All { $count } found
recipients-all-more = All found (more than { $count })
recipients-choose-a-list = Choose a list…
recipients-add-to-list = Add to list
recipients-remove-from-list = Remove from list
recipients-delete-many-question =
    Delete the selected recipients?
    They will be removed from all lists. Letters sent to them stay in the reports, and suppressed addresses stay suppressed.
recipients-delete-question =
    Delete { $email }?
    The recipient will be removed from all lists. Letters sent stay in the reports, and a suppressed address stays suppressed.
recipients-email = E-mail
recipients-name = Full name
recipients-hint-name = As it should appear in the letter.
recipients-phone = Phone
recipients-hint-phone = A number with + and a country code is stored as +79001234567, any other one as you type it.
recipients-comment = Comment
recipients-hint-comment = Only for you; it never appears in letters.
recipients-attributes = Attributes
recipients-attributes-hint = What else you know: city, birthday, bonus. You can insert these in a message. An empty value removes the attribute; more rows appear after saving.
recipients-attribute-name = Attribute
recipients-attribute-value = Value
recipients-added-at = Added
recipients-changed-at = Changed
recipients-gets-nothing = This address is suppressed: no letters are sent to it.
recipients-suppress = Suppress this address…
recipients-added = { $email } was added.
recipients-saved = Recipient saved.
recipients-deleted = { $count ->
    [one] { $count } recipient deleted.
   *[other] { $count } recipients deleted.
}
recipients-joined = { $count ->
    [one] { $count } recipient added to the list.
   *[other] { $count } recipients added to the list.
}
recipients-left = { $count ->
    [one] { $count } recipient removed from the list.
   *[other] { $count } recipients removed from the list.
}
recipients-choose-list = Choose a list first.
error-recipient-exists = You already have a recipient with this address.
error-attribute-twice = The attribute “{ $name }” is listed twice.
error-attribute-name-missing = Enter an attribute name for this value.
error-attribute-key = An attribute name can only contain letters, digits, spaces, hyphens and underscores.
error-attribute-value = A value can be a text, a number, true, false, null or a list of those.
error-too-many = At most { $max }.
