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
template-place = { $column ->
    [0] Строка { $line }
   *[other] Строка { $line }, символ { $column }
}
error-template-statement = { template-place }: команды «{ $detail }» нет. Есть только if и for.
error-template-operator = { template-place }: «{ $detail }» нельзя использовать в персональном поле.
error-template-function = { template-place }: «{ $detail }» — функция, а функций в персональных полях нет.
error-template-filter = { template-place }: фильтра «{ $detail }» нет.
error-template-test = { template-place }: проверки «{ $detail }» нет.
error-template-unclosed = { template-place }: «{ $detail }» открыто, но не закрыто.
error-template-syntax = { template-place }: эту запись не удалось разобрать. Проверьте кавычки, скобки и слова if, for, endif, endfor.
error-template-value = { template-place }: у некоторых получателей нужного значения нет, и письмо не получится. Добавьте запасное значение фильтром default.
error-template-arguments = { template-place }: фильтру дано слишком много или слишком мало значений.
error-template-unknown-name = { template-place }: поля «{ $detail }» нет ни у одного получателя, на его месте будет пусто. Свои поля пишутся так: attributes.имя.
error-template-tag-too-long = { template-place }: персональное поле длиннее { $detail } байт.
error-template-too-many-tags = { template-place }: персональных полей больше { $detail }.
error-template-too-many-filters = { template-place }: фильтров в одном поле больше { $detail }.
error-template-too-deep = { template-place }: условия и циклы вложены глубже { $detail }.
error-template-too-long = Слишком длинно: можно не больше { $detail } байт.
error-template-too-slow = { template-place }: это письмо слишком долго собирать. Упростите циклы и условия.
error-template-output-too-long = { template-place }: письмо получается слишком длинным.
error-html-tag = { template-place }: у тега атрибутов больше { $detail } или не закрыта кавычка.
