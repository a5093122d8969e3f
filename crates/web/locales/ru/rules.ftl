### Что не так с адресом, расписанием или письмом; коды — из ядра.

error-email-no-at = В адресе нет знака @.
error-email-local-empty = Перед @ ничего нет.
error-email-local-too-long = Перед @ может быть не больше 64 знаков.
error-email-local-dot = Точка перед @ стоит не там, где может.
error-email-local-character = Перед @ есть знак, которого в адресе быть не может.
error-email-quoted = Адреса в кавычках не поддерживаются.
error-email-control = В адресе есть невидимый управляющий символ.
error-email-space = В адресе есть пробел.
error-email-domain-empty = После @ ничего нет.
error-email-domain-dot = После @ нет точки, как в example.org.
error-email-domain-too-long = Часть после @ слишком длинная.
error-email-domain-invalid = После @ стоит недопустимое имя.
error-email-domain-ip = После @ должно быть имя, а не число.
error-email-too-long = Адрес слишком длинный.

error-date-time = Укажите дату и время, например 2027-01-31T10:00.
error-end-before-start = Окончание должно быть позже начала.

error-content-required = Напишите письмо: HTML, текст или и то и другое.
error-styles-not-inlined = Персональные поля мешают встроить стили в разметку. Некоторые почтовые программы покажут письмо без оформления.
error-template-statement = Строка { $line }: команды «{ $detail }» нет. Есть только if и for.
error-template-operator = Строка { $line }: «{ $detail }» нельзя использовать в персональном поле.
error-template-function = Строка { $line }: «{ $detail }» — функция, а функций в персональных полях нет.
error-template-filter = Строка { $line }: фильтра «{ $detail }» нет.
error-template-test = Строка { $line }: проверки «{ $detail }» нет.
error-template-unclosed = Строка { $line }: «{ $detail }» открыто, но не закрыто.
error-template-syntax = Строка { $line }: непонятно ({ $detail }).
error-template-value = Строка { $line }: у некоторых получателей нужного значения нет, и письмо не получится. Добавьте запасное значение фильтром default.
error-template-arguments = Строка { $line }: фильтру дано слишком много или слишком мало значений.
error-template-unknown-name = Строка { $line }: поля «{ $detail }» нет ни у одного получателя, на его месте будет пусто. Свои поля пишутся так: attributes.имя.
error-template-tag-too-long = Строка { $line }: персональное поле длиннее { $detail } байт.
error-template-too-many-tags = Строка { $line }: персональных полей больше { $detail }.
error-template-too-many-filters = Строка { $line }: фильтров в одном поле больше { $detail }.
error-template-too-deep = Строка { $line }: условия и циклы вложены глубже { $detail }.
error-template-too-long = Слишком длинно: можно не больше { $detail } байт.
error-template-too-slow = Строка { $line }: это письмо слишком долго собирать. Упростите циклы и условия.
error-template-output-too-long = Строка { $line }: письмо получается слишком длинным.
error-html-tag = Строка { $line }: у тега атрибутов больше { $detail } или не закрыта кавычка.
