### What is wrong with an address, a schedule or a letter; the codes are those of the core.

error-email-no-at = The address has no @.
error-email-local-empty = There is nothing before the @.
error-email-local-too-long = There can be at most 64 characters before the @.
error-email-local-dot = There is a dot in the wrong place before the @.
error-email-local-character = There is a character before the @ that an address cannot contain.
error-email-quoted = Addresses in quotation marks are not supported.
error-email-control = The address contains an invisible control character.
error-email-space = The address contains a space.
error-email-domain-empty = There is nothing after the @.
error-email-domain-dot = The part after the @ has no dot, as in example.org.
error-email-domain-too-long = The part after the @ is too long.
error-email-domain-invalid = The part after the @ is not a valid name.
error-email-domain-ip = The part after the @ must be a name, not a number.
error-email-too-long = The address is too long.

error-date-time = Enter a date and time, such as 2027-01-31T10:00.
error-end-before-start = The end must be later than the start.

error-content-required = Write the letter: HTML, text, or both.
error-styles-not-inlined = Personal fields prevent the style sheet from being inlined. Some mail programs will show the letter without its styles.
template-place = { $column ->
    [0] Line { $line }
   *[other] Line { $line }, character { $column }
}
error-template-statement = { template-place }: there is no “{ $detail }” statement, only if and for.
error-template-operator = { template-place }: “{ $detail }” cannot be used in a personal field.
error-template-function = { template-place }: “{ $detail }” is a function, and personal fields have no functions.
error-template-filter = { template-place }: there is no filter “{ $detail }”.
error-template-test = { template-place }: there is no test “{ $detail }”.
error-template-unclosed = { template-place }: “{ $detail }” is opened but never closed.
error-template-syntax = { template-place }: this could not be read. Check the quotation marks, brackets and the words if, for, endif, endfor.
error-template-value = { template-place }: some recipients lack the value needed here, and their letter would fail. Add a fallback with the filter default.
error-template-arguments = { template-place }: a filter has too many or too few values.
error-template-unknown-name = { template-place }: no recipient has a field “{ $detail }”, so it will be empty. Write your own fields as attributes.name.
error-template-tag-too-long = { template-place }: a personal field is longer than { $detail } bytes.
error-template-too-many-tags = { template-place }: there are more than { $detail } personal fields.
error-template-too-many-filters = { template-place }: there are more than { $detail } filters in one field.
error-template-too-deep = { template-place }: conditions and loops are nested more than { $detail } deep.
error-template-too-long = Too long: { $detail } bytes at most.
error-template-too-slow = { template-place }: this letter takes too long to make. Simplify its loops and conditions.
error-template-output-too-long = { template-place }: the letter becomes too long.
error-html-tag = { template-place }: a tag has more than { $detail } attributes, or a quotation mark is not closed.
