# Тексты отчётов.
print = Печать
span-days = { $count } дн.
span-instant = меньше 0,1 с
span-part-of-seconds = { $text } с
plot-table = Показать таблицей
report-title = Отчёт
report-figures = Итоги
report-nobody = Отправлять было некому.
report-accepted = Отправлено { $sent } из { $planned } { $planned ->
    [one] письма
   *[other] писем
}
report-all-accepted = { $planned ->
    [1] Единственное письмо отправлено
    [one] Отправлено { $planned } письмо из { $planned }
    [few] Отправлены все { $planned } письма
   *[many] Отправлены все { $planned } писем
}
report-none-accepted = { $planned ->
    [1] Единственное письмо не отправлено
    [one] Не отправлено ни одного из { $planned } письма
   *[other] Не отправлено ни одного из { $planned } писем
}
report-within = за { $time }
report-within-second = меньше чем за секунду
report-failed = { $count ->
    [one] { $count } отклонено
    [few] { $count } отклонены
   *[many] { $count } отклонено
}
report-failed-mixed = { $count ->
    [one] { $count } отклонено по разным причинам
    [few] { $count } отклонены по разным причинам
   *[many] { $count } отклонено по разным причинам
}
report-failed-because = { $count ->
    [one] { $count } отклонено: { $why }
    [few] { $count } отклонены: { $why }
   *[many] { $count } отклонено: { $why }
}
report-failed-most = { $count ->
    [one] { $count } отклонено, в основном потому, что { $why }
    [few] { $count } отклонены, в основном потому, что { $why }
   *[many] { $count } отклонено, в основном потому, что { $why }
}
report-failed-often = { $count ->
    [one] { $count } отклонено, чаще всего потому, что { $why }
    [few] { $count } отклонены, чаще всего потому, что { $why }
   *[many] { $count } отклонено, чаще всего потому, что { $why }
}
report-deferred = { $count ->
    [one] { $count } будет отправлено повторно
    [few] { $count } будут отправлены повторно
   *[many] { $count } будут отправлены повторно
}
report-left = { $count ->
    [one] { $count } ещё предстоит отправить
    [few] { $count } ещё предстоит отправить
   *[many] { $count } ещё предстоит отправить
}
report-skipped = { $count ->
    [one] { $count } пропущено: отписка, исключённый адрес или удалённый получатель
    [few] { $count } пропущены: отписки, исключённые адреса или удалённые получатели
   *[many] { $count } пропущено: отписки, исключённые адреса или удалённые получатели
}
report-expired = { $count ->
    [one] { $count } не успело уйти до окончания
    [few] { $count } не успели уйти до окончания
   *[many] { $count } не успели уйти до окончания
}
report-cancelled = { $count ->
    [one] { $count } не ушло, потому что рассылку отменили
    [few] { $count } не ушли, потому что рассылку отменили
   *[many] { $count } не ушли, потому что рассылку отменили
}
report-soon = Отчёт скоро появится здесь.
report-retry = Повторить для отклонённых ({ $count })
report-timeline = Ход отправки
report-from = С
report-slot = Одна строка — { $time }.
report-tries = Попытки на письмо
report-tries-how-often = Попыток
report-never-tried = Без попыток
report-tried = { $count ->
    [one] { $count } попытка
    [few] { $count } попытки
   *[many] { $count } попыток
}
report-in-doubt = { $count ->
    [one] { $count } попытка под вопросом.
    [few] { $count } попытки под вопросом.
   *[many] { $count } попыток под вопросом.
}
report-in-doubt-text = Связь прервалась раньше, чем пришёл ответ, и письмо отправлено ещё раз: оно могло прийти дважды.
report-times = Через сколько отправлены письма
report-after = Через
report-half = Половина писем
report-most = 9 из 10
report-nearly-all = 99 из 100
report-all = Последнее
report-times-text = С того времени, когда могло уйти первое письмо.
report-no-times = Пока не отправлено ни одного письма.
report-why-failed = Почему письма отклонены
report-why-waiting = Почему письма отправляются повторно
report-why-given-up = Почему письма не успели уйти
report-domains = По доменам
report-domain = Домен
report-average = В среднем через
report-other-domains = { $count ->
    [one] ещё { $count } домен
    [few] ещё { $count } домена
   *[many] ещё { $count } доменов
}
report-more-domains = Ещё { $count }
report-final = Подсчитано { $at }, после окончания запуска.
report-as-of = Таблицы и графики на { $at }; числа выше — самые свежие.
report-runs = По запускам
report-trend = Динамика
report-accepted-share = Отправлено
report-median = Половина через
report-main-cause = Главная причина
cause-mixed = Разные причины
report-mailing-sentence = { $runs ->
    [one] { $runs } запуск.
    [few] { $runs } запуска.
   *[many] { $runs } запусков.
}
cause-mailbox-unknown = Такого ящика нет
cause-why-mailbox-unknown = ящика не существует
cause-text-mailbox-unknown = По этому адресу никого нет: опечатка, или ящик удалён.
cause-do-mailbox-unknown = Когда запуск завершится, эти адреса попадут в исключённые, и писать на них мы перестанем. Если так отклонено больше писем, чем отправлено, адреса останутся: тогда дело, скорее всего, в настройках почтового сервера.
cause-domain-unknown = Домен не принимает почту
cause-why-domain-unknown = домен не принимает почту
cause-text-domain-unknown = Домена после @ не существует, или у него нет почтового сервера.
cause-do-domain-unknown = Поищите опечатки вроде gmial.com; остальные адреса удалите.
cause-mailbox-full = Ящик переполнен
cause-why-mailbox-full = ящик переполнен
cause-text-mailbox-full = У получателя нет места для новых писем. Часто такой ящик уже не читают.
cause-do-mailbox-full = Попробуйте через несколько дней. Если ящик так и полон, удалите адрес.
cause-mailbox-disabled = Ящик закрыт
cause-why-mailbox-disabled = ящик закрыт
cause-text-mailbox-disabled = Почтовая служба заблокировала ящик — обычно потому, что им давно не пользуются.
cause-do-mailbox-disabled = Удалите эти адреса.
cause-policy = Сочтено спамом или запрещено правилом
cause-why-policy = письмо сочтено спамом или запрещено правилом
cause-text-policy = Сервер получателя не пропускает это письмо: из-за содержания, ссылок или репутации вашего сервера либо домена.
cause-do-policy = Прочтите ответ сервера ниже: в нём часто есть ссылка с объяснением. Пишите только тем, кто об этом просил, и проверьте домен по открытым чёрным спискам.
cause-authentication = Домен отправителя не подтверждён
cause-why-authentication = домен отправителя не подтверждён
cause-text-authentication = Сервер получателя не может убедиться, что письмо действительно от вашего домена (SPF, DKIM, DMARC).
cause-do-authentication = Попросите того, кто ведёт ваш домен, настроить SPF, DKIM и DMARC для почтового сервера, через который вы отправляете.
cause-greylisted = Просят прийти позже
cause-why-greylisted = сервер просит незнакомых прийти позже
cause-text-greylisted = Некоторые серверы отклоняют первое письмо от незнакомых и принимают его через несколько минут.
cause-do-greylisted = Ничего: эти письма отправляются повторно сами.
cause-rate = Слишком много писем сразу
cause-why-rate = писем было слишком много сразу
cause-text-rate = Почтовая служба принимает только определённое число писем за раз.
cause-do-rate = Они будут отправлены позже. Если так бывает часто, уменьшите скорость для этой службы и наращивайте её постепенно.
cause-size = Письмо слишком большое
cause-why-size = письмо слишком большое
cause-text-size = Сервер получателя не принимает писем такого размера.
cause-do-size = Сократите сообщение; большие картинки разместите на сайте.
cause-sender = Адрес отправителя отклонён
cause-why-sender = адрес отправителя отклонён
cause-text-sender = Сервер не принимает писем с адреса отправителя этой рассылки.
cause-do-sender = Проверьте, что адрес отправителя существует и его домен принимает почту.
cause-address = На этот адрес нельзя написать
cause-why-address = на этот адрес нельзя написать
cause-text-address = Такой адрес составлен неверно, на него нельзя отправить письмо.
cause-do-address = Исправьте или удалите его.
cause-content = Письмо не удалось составить
cause-why-content = письмо не удалось составить
cause-text-content = Что-то в сообщении не подходит этому получателю: например, поле, которое нечем заполнить.
cause-do-content = Откройте сообщение, посмотрите, как оно выглядит для одного из этих людей, и исправьте.
cause-busy = Почтовый сервер занят
cause-why-busy = почтовый сервер был занят
cause-text-busy = У сервера не было места или времени для новых писем.
cause-do-busy = Ничего делать не нужно: эти письма отправляются повторно сами.
cause-connection = Нет связи с почтовым сервером
cause-why-connection = не было связи с почтовым сервером
cause-text-connection = Соединение не установилось, прервалось, или ответ не пришёл вовремя.
cause-do-connection = Письма отправляются повторно. Если это надолго, сообщите администратору.
cause-tls = Нет защищённого соединения
cause-why-tls = не было защищённого соединения
cause-text-tls = Не удалось установить зашифрованное соединение с почтовым сервером.
cause-do-tls = Сообщите администратору: неверен сертификат сервера или настройки.
cause-credentials = Почтовый сервер не принимает пароль
cause-why-credentials = почтовый сервер не принимает пароль
cause-text-credentials = Почтовый сервер отклоняет имя или пароль этого сервиса.
cause-do-credentials = Сообщите администратору.
cause-interrupted = Отправка прервалась
cause-why-interrupted = отправка прервалась
cause-text-interrupted = Процесс отправки завершился раньше, чем стал известен ответ сервера.
cause-do-interrupted = Эти письма отправляются повторно; кому-то письмо может прийти дважды.
cause-temporary = Временно не принимается
cause-why-temporary = сервер временно не принимает письмо
cause-text-temporary = Сервер отложил письмо и не назвал понятной нам причины.
cause-do-temporary = Эти письма отправляются повторно сами. Ответ сервера — ниже.
cause-permanent = Сервер отклонил письмо
cause-why-permanent = сервер отклонил письмо
cause-text-permanent = Сервер не принимает письмо и не назвал понятной нам причины.
cause-do-permanent = Прочтите ответ сервера ниже. Не пишите на эти адреса, пока не узнаете, в чём дело.
people-title = Получатели
people-of-run = Запуск
people-state = Что стало с письмом
people-any = Любое
people-domain = Домен
people-address = Адрес
people-reply-filter = Только с этим ответом:
people-attempts-filter = { $count ->
    [0] Только письма без попыток
    [one] Только письма с { $count } попыткой
   *[other] Только письма с { $count } попытками
}
people-class-filter = Только по этой причине:
people-code-filter = Только с кодом { $code }
people-tried = Попыток
people-when = Когда
people-reply = Последний ответ
people-empty = Никого не нашлось
people-empty-text = Ни одно письмо этого запуска не подходит.
people-cut = Просмотрены адреса до { $address }; подходящие могут быть и дальше.
people-go-on = Искать дальше
people-new = Новая рассылка этим людям
people-new-title = { $title }: { $group }
people-all = Показать всех
people-made = Черновик для { $count ->
    [one] { $count } человека
   *[other] { $count } человек
} с тем же сообщением. Проверьте его и нажмите «{ mailing-start }».
people-none-left = Ни одного из этих людей больше нет среди получателей.
people-removed = получатель удалён
people-skipped-why = { $why ->
    [unsubscribed] отписка
    [removed] получатель удалён
   *[other] адрес исключён
}
letters-of = Все письма на { $email }
letters-title = Письма
letters-empty = Писем пока нет
letters-empty-text = Как только начнётся рассылка с этим получателем, она появится здесь.
letters-attempts = Попытки
letters-no-attempts = Без попыток
people-sent = Отправлены
people-failed = Отклонены
people-deferred = Будет повтор
people-remaining = Осталось отправить
people-skipped = Пропущены
people-expired = Не успели до окончания
people-cancelled = Отменены
run-letters-per-second = Писем в секунду
report-forgotten = Судьба каждого письма удалена { $at }: так задано в настройках сервиса. Числа и отчёт остались.
period-title = Отчёты
period-empty = За эти дни запусков не было
period-empty-text = Выберите другие дни или запустите рассылку.
