### What is wrong with an address, a schedule or a letter; the codes are those of the core.

error-email-no-at = An address has an @.
error-email-local-empty = Something must stand before the @.
error-email-local-too-long = Not more than 64 characters may stand before the @.
error-email-local-dot = A dot stands at the wrong place before the @.
error-email-local-character = A character that an address cannot have stands before the @.
error-email-quoted = Addresses in quotation marks are not supported.
error-email-control = There is an invisible control character in the address.
error-email-space = There is a space in the address.
error-email-domain-empty = Something must stand behind the @.
error-email-domain-dot = The part behind the @ has no dot, as in example.org.
error-email-domain-too-long = The part behind the @ is too long.
error-email-domain-invalid = The part behind the @ is not a valid name.
error-email-domain-ip = A number cannot stand in place of a name behind the @.
error-email-too-long = The address is too long.

error-date-time = Give date and time, like 2027-01-31T10:00.
error-end-before-start = The end must be later than the start.

error-content-required = Write the letter: as HTML, as text, or both.
error-styles-not-inlined = Personal fields stand in the way of moving the style sheet into the elements. Some mail programs will show the letter without it.
error-template-statement = Line { $line }: “{ $detail }” cannot be used here; there are only if and for.
error-template-operator = Line { $line }: “{ $detail }” cannot be used in a personal field.
error-template-function = Line { $line }: there are no functions in personal fields (“{ $detail }”).
error-template-filter = Line { $line }: there is no filter “{ $detail }”.
error-template-test = Line { $line }: there is no test “{ $detail }”.
error-template-unclosed = Line { $line }: what begins with “{ $detail }” does not end.
error-template-syntax = Line { $line }: not understood ({ $detail }).
error-template-value = Line { $line }: this does not work for a recipient without these values ({ $detail }). A default may help.
error-template-arguments = Line { $line }: too many or too few values for a filter ({ $detail }).
error-template-unknown-name = Line { $line }: nobody has a “{ $detail }”, it will be empty. Values of your own go by attributes.name.
error-template-tag-too-long = Line { $line }: a field may not be longer than { $detail } bytes.
error-template-too-many-tags = Line { $line }: more than { $detail } fields.
error-template-too-many-filters = Line { $line }: more than { $detail } filters in a field.
error-template-too-deep = Line { $line }: conditions and loops may be nested { $detail } deep.
error-template-too-long = Too long; { $detail } bytes at most.
error-template-too-slow = Line { $line }: this letter takes too long to make.
error-template-output-too-long = Line { $line }: the letter becomes too long.
error-html-tag = Line { $line }: a tag has more than { $detail } attributes, or a name or value without end.
