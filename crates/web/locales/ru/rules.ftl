### Что не так с адресом, расписанием или письмом; коды — из ядра.

error-email-no-at = В адресе должна быть @.
error-email-local-empty = Перед @ ничего нет.
error-email-local-too-long = Перед @ может быть не больше 64 знаков.
error-email-local-dot = Точка перед @ стоит не на месте.
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
error-styles-not-inlined = Персональные поля мешают перенести таблицу стилей в элементы. Некоторые почтовые программы покажут письмо без неё.
error-template-statement = Строка { $line }: «{ $detail }» здесь не работает; есть только if и for.
error-template-operator = Строка { $line }: «{ $detail }» нельзя использовать в персональном поле.
error-template-function = Строка { $line }: функций в персональных полях нет («{ $detail }»).
error-template-filter = Строка { $line }: нет такого фильтра — «{ $detail }».
error-template-test = Строка { $line }: нет такой проверки — «{ $detail }».
error-template-unclosed = Строка { $line }: то, что начинается с «{ $detail }», не закрыто.
error-template-syntax = Строка { $line }: непонятно ({ $detail }).
error-template-value = Строка { $line }: не сработает для получателя, у которого нет этих значений ({ $detail }). Может помочь default.
error-template-arguments = Строка { $line }: у фильтра слишком много или слишком мало значений ({ $detail }).
error-template-unknown-name = Строка { $line }: поля «{ $detail }» ни у кого нет, оно будет пустым. Свои поля пишутся как attributes.имя.
error-template-tag-too-long = Строка { $line }: поле не может быть длиннее { $detail } байт.
error-template-too-many-tags = Строка { $line }: больше { $detail } полей.
error-template-too-many-filters = Строка { $line }: больше { $detail } фильтров в одном поле.
error-template-too-deep = Строка { $line }: вложенность условий и циклов не больше { $detail }.
error-template-too-long = Слишком длинно; не больше { $detail } байт.
error-template-too-slow = Строка { $line }: это письмо слишком долго собирать.
error-template-output-too-long = Строка { $line }: письмо получается слишком длинным.
error-html-tag = Строка { $line }: у тега больше { $detail } атрибутов либо имя или значение без конца.
