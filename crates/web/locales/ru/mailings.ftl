# Тексты страниц рассылок.
mailings-title = Рассылки
mailings-new = Новая рассылка
mailings-empty = Рассылок пока нет
mailings-empty-text = Рассылка отправляет сообщение получателям: сразу, в выбранное время или регулярно.
mailings-search = Поиск по названию
mailings-filter = По состоянию
mailings-all = Все
mailings-chosen = Выбрано:
mailings-chosen-actions = Действия с выбранными рассылками
mailings-none-chosen = Сначала выберите рассылки.
mailings-cancel = Отменить
mailings-cancel-question = Отменить выбранные рассылки навсегда? Письма, которые ещё не ушли, не будут отправлены.
mailings-cancel-ok = Отменить рассылки
mailings-delete = Удалить…
mailings-delete-title = Удаление рассылок
mailings-delete-text = { $count ->
    [one] Будет удалена навсегда { $count } рассылка:
    [few] Будут удалены навсегда { $count } рассылки:
   *[many] Будут удалены навсегда { $count } рассылок:
}
mailings-delete-with = Вместе с ними удалится:
mailings-delete-rest = Получатели, списки и сообщения останутся.
mailings-delete-stay = { $count ->
    [one] { $count } рассылка идёт или приостановлена и останется. Чтобы удалить её, сначала отмените:
    [few] { $count } рассылки идут или приостановлены и останутся. Чтобы удалить их, сначала отмените:
   *[many] { $count } рассылок идут или приостановлены и останутся. Чтобы удалить их, сначала отмените:
}
mailings-paused = { $count ->
    [0] Приостанавливать нечего.
    [one] Приостановлена { $count } рассылка.
    [few] Приостановлены { $count } рассылки.
   *[many] Приостановлено { $count } рассылок.
} { $refused ->
    [0] { "" }
    [one] { $refused } не идёт.
    [few] { $refused } не идут.
   *[many] { $refused } не идут.
}
mailings-resumed = { $count ->
    [0] Продолжать нечего.
    [one] Продолжена { $count } рассылка.
    [few] Продолжены { $count } рассылки.
   *[many] Продолжено { $count } рассылок.
} { $refused ->
    [0] { "" }
    [one] { $refused } не на паузе.
    [few] { $refused } не на паузе.
   *[many] { $refused } не на паузе.
}
mailings-cancelled = { $count ->
    [0] Отменять нечего.
    [one] Отменена { $count } рассылка.
    [few] Отменены { $count } рассылки.
   *[many] Отменено { $count } рассылок.
} { $refused ->
    [0] { "" }
    [one] { $refused } отменить нельзя: это черновик или завершённая рассылка.
    [few] { $refused } отменить нельзя: это черновики или завершённые рассылки.
   *[many] { $refused } отменить нельзя: это черновики или завершённые рассылки.
}
mailings-deleted = { $count ->
    [0] Ничего не удалено.
    [one] Удалена { $count } рассылка.
    [few] Удалены { $count } рассылки.
   *[many] Удалено { $count } рассылок.
} { $refused ->
    [0] { "" }
    [one] { $refused } ещё идёт или останавливается и потому осталась.
    [few] { $refused } ещё идут или останавливаются и потому остались.
   *[many] { $refused } ещё идут или останавливаются и потому остались.
}
mailing-name = Название
mailing-name-hint = Его видите только вы.
mailing-status = Состояние
mailing-progress = Ход отправки
mailing-next = Следующая дата
mailing-failed-count = { $count ->
    [one] { $count } отклонено
    [few] { $count } отклонены
   *[many] { $count } отклонено
}
status-scheduled = Запланирована
mailing-edit = Изменить рассылку
mailing-plan = План
mailing-whom = Кому
mailing-what = Что
mailing-when = Когда
mailing-sender = От кого
mailing-account = Ваша учётная запись
mailing-service = Настройки сервиса
mailing-held = Рассылка ждёт.
mailing-held-hint = Ничего не потеряно: отправка продолжится сама, как только причина будет устранена.
held-approval = Первую рассылку новой учётной записи сначала смотрит менеджер. От вас ничего не требуется.
held-at-once = Ваша учётная запись может отправлять одновременно не больше { $most ->
    [one] { $most } рассылки
   *[other] { $most } рассылок
}. Эта начнётся, когда завершится другая.
held-letters = В очереди вашей учётной записи может быть не больше { $most ->
    [one] { $most } письма
   *[other] { $most } писем
}; отменённые считаются ещё сутки. Эта рассылка начнётся, когда уйдут прежние письма.
limited-more = { $count ->
    [one] Ещё { $count } письмо уйдёт { $when }.
    [few] Ещё { $count } письма уйдут { $when }.
   *[other] Ещё { $count } писем уйдут { $when }.
}
limited-today = сегодня с { $hour }
limited-tomorrow = завтра с { $hour }
limited-in-days = { $days ->
    [one] через { $days } день с { $hour }
    [few] через { $days } дня с { $hour }
   *[many] через { $days } дней с { $hour }
}
limited-hour = Ваша учётная запись может отправлять { $most ->
    [one] { $most } письмо
    [few] { $most } письма
   *[other] { $most } писем
} в час.
limited-day = Ваша учётная запись может отправлять { $most ->
    [one] { $most } письмо
    [few] { $most } письма
   *[other] { $most } писем
} в день.
limited-new = Ваша учётная запись новая: пока менеджер её не одобрит, она может отправлять { $most ->
    [one] { $most } письмо
    [few] { $most } письма
   *[other] { $most } писем
} в день.
mailing-lists = Списки
mailing-no-lists = Списков пока нет.
mailing-people = Отдельные получатели
mailing-people-search = Поиск по адресу или имени
mailing-people-count = { $count ->
    [one] { $count } отдельный получатель
    [few] { $count } отдельных получателя
   *[many] { $count } отдельных получателей
}
mailing-new-list = Создать новый список здесь
mailing-new-list-name = Название списка
mailing-new-people = Получатели
mailing-new-people-hint = По одному в строке: адрес или «Имя <адрес>».
mailing-import-link = Импортировать из файла
mailing-new-message = Написать новое сообщение здесь
mailing-new-subject = Тема
mailing-new-text = Текст
mailing-new-text-hint = Персональные поля пишутся так: {"{{ name }}"}.
mailing-editor-link = Открыть полный редактор
error-bad-entry = Это не адрес электронной почты: { $entry }
mailing-message = Сообщение
mailing-message-later = Выбрать позже
mailing-no-messages = Сообщений пока нет.
mailing-from-next-run = Подействует со следующего запуска; письма уже начатого запуска не изменятся.
mailing-begin-now = Сразу
mailing-begin-at = В назначенное время
mailing-start-at = Начало
mailing-every = Как часто
every-once = Один раз
every-day = Каждый день
every-week = Каждую неделю
every-month = Каждый месяц
mailing-end = Окончание
mailing-end-hint = После этого времени ничего не отправляется. Можно не указывать.
mailing-until = до { $at }
mailing-zone = Часовой пояс
mailing-sender-default = Если не указать, отправителем будет { $email } — адрес этого сервиса.
mailing-from-name = Имя отправителя
mailing-from-email = Адрес отправителя
mailing-reply-to = Адрес для ответов
mailing-reply-to-hint = Если не указать, ответы придут отправителю.
mailing-settled = Рассылка запущена: получатели и расписание больше не меняются. Чтобы спланировать её заново, сделайте копию.
mailing-save-draft = Сохранить черновик
mailing-save-start = Сохранить и запустить
mailing-start = Запустить
mailing-send-to = Отправить { $count ->
    [one] { $count } получателю
   *[other] { $count } получателям
}
mailing-schedule-for = Запланировать на { $at }: { $count ->
    [one] { $count } получатель
    [few] { $count } получателя
   *[many] { $count } получателей
}
mailing-start-missing = Сначала укажите дату
mailing-when-wrong = Сначала исправьте расписание
mailing-saved = Рассылка сохранена.
mailing-copied = Это копия.
mailing-copy-of = Копия: { $title }
mailing-started = Отправка началась.
mailing-scheduled = Рассылка начнётся { $at }.
mailing-started-before = Рассылка уже была запущена.
mailing-started-held = Рассылка запущена. Первое письмо уйдёт, когда закончится отсчёт ниже.
mailing-taken-back = Запуск отменён: ни одно письмо не ушло, рассылка снова черновик.
mailing-take-back-late = Отменить запуск уже нельзя. Рассылку можно приостановить или отменить.
take-back = Отменить запуск
take-back-text = Письма ещё не уходят. Секунд, чтобы отменить запуск:
start-question = { $count ->
    [one] Отправить { $count } письмо сейчас?
    [few] Отправить { $count } письма сейчас?
   *[many] Отправить { $count } писем сейчас?
}
start-question-passed = Дата этой рассылки уже прошла: { $at }. Она начнётся сейчас.
start-question-hint = Пока ничего не отправлено.
mailing-paused = Приостановлено. Письма больше не отправляются.
mailing-resumed = Отправка продолжается.
mailing-cancelled = Отменено. Неотправленные письма не уйдут.
mailing-nothing-changed = Ничего не изменилось: рассылка уже в этом состоянии.
mailing-not-possible = В текущем состоянии это невозможно.
mailing-not-ready = Сохранено, но не запущено: чего-то не хватает.
mailing-not-ready-hint = Исправьте то, что отмечено в списке.
mailing-pause = Приостановить
mailing-resume = Продолжить
mailing-cancel = Отменить рассылку
mailing-cancel-question = Отменить рассылку навсегда? { $count ->
    [0] Неотправленных писем нет.
    [one] { $count } письмо не будет отправлено.
    [few] { $count } письма не будут отправлены.
   *[many] { $count } писем не будут отправлены.
}
mailing-cancel-ok = Отменить рассылку
mailing-disabled = Рассылка отключена менеджером; письма не отправляются.
mailing-deleted = Рассылка удалена.
mailing-delete-running = Рассылку нельзя удалить, пока она идёт или останавливается. Сначала отмените её.
mailing-delete-title = Удалить рассылку
mailing-delete-text = Рассылка «{ $title }» будет удалена навсегда. Вместе с ней:
mailing-delete-runs = { $count ->
    [one] { $count } запуск
    [few] { $count } запуска
   *[many] { $count } запусков
}
mailing-delete-deliveries = { $count ->
    [one] судьба писем: { $count } доставка
    [few] судьба писем: { $count } доставки
   *[many] судьба писем: { $count } доставок
}
mailing-delete-attempts = { $count ->
    [one] журнал: { $count } попытка
    [few] журнал: { $count } попытки
   *[many] журнал: { $count } попыток
}
mailing-delete-stays = Получатели, списки и сообщение останутся.
mailing-delete-ok = Удалить навсегда
mailing-log = Журнал
check-title = Перед запуском
audience-chosen = Выбрано
audience-duplicates = Повторы из разных списков
audience-unsubscribed = Отписались
audience-suppressed = Исключённые адреса
audience-will-get = Получат письмо
plan-audience = Аудитория
plan-next = Ближайшие даты
plan-now = Сразу
plan-no-dates = Дат нет.
plan-zone = Часовой пояс: { $zone }.
run-of = Запуск { $at }
run-due = Дата
run-of-planned = из
run-sent = отправлено
run-progress = Ход отправки
run-total-planned = Писем
run-total-sent = Отправлено
run-total-failed = Отклонено
run-total-deferred = Будет повтор
run-total-remaining = Осталось отправить
next-try = Следующая попытка
retry-now = Повторить сейчас
retry-now-done = { $count ->
    [one] Повторяем отправку { $count } письма.
   *[other] Повторяем отправку { $count } писем.
}
retry-now-none = Ни одно письмо не ждёт повтора.
run-total-other = Не отправлено
run-other = Не отправлено: пропущено { $skipped } (отписались, исключены или удалены), не успели до окончания { $expired }, отменено { $cancelled }.
run-suppressed = Выбрано { $chosen }, до начала исключено { $count } (отписки и исключённые адреса).
run-rate = Писем в секунду:
run-left = осталось примерно
run-last-progress = Последнее изменение:
run-waiting = Отправка ждёт:
run-servers = Письма идут через:
run-reload = Обновить числа
run-finished = Завершено { $at }
run-state-expanding = Подготовка
run-state-sending = Идёт
run-state-paused = Приостановлен
run-state-done = Завершён
run-state-expired = Время вышло
run-state-cancelled = Отменён
run-state-skipped = Пропущен
runs-title = Запуски
runs-all = Все запуски
runs-empty = Запусков пока нет
replies-title = Ответы почтовых серверов
replies-reply = Ответ
replies-state = Сейчас
replies-count = Писем
delivery-queued = В очереди
delivery-sent = Отправлено
delivery-deferred = Будет повтор
delivery-failed = Отклонено
delivery-skipped = Пропущено
delivery-expired = Не успело до окончания
delivery-cancelled = Отменено
outcome-sent = Отправлено
outcome-deferred = Отложено
outcome-failed = Отклонено
outcome-in-doubt = Под вопросом
history-title = История
actor-scheduler = Планировщик
actor-command = Командная строка
event-created = Создана
event-edited = Изменена
event-started = Запущена
event-taken-back = Запуск отменён
event-paused = Приостановлена
event-resumed = Продолжена
event-cancelled = Отменена
event-completed = Завершена
event-expired = Время вышло, отправлены не все письма
event-skipped = { $count ->
    [one] Пропущена { $count } дата
    [few] Пропущены { $count } даты
   *[many] Пропущено { $count } дат
}
event-disabled = Отключена менеджером
event-enabled = Включена менеджером
why-message-missing = сообщение удалено
why-message-broken = в сообщении есть ошибка; откройте его и проверьте
why-letters-too-slow = письма слишком долго собирать: персональные поля обрабатывают слишком много текста. Ни одно письмо не отклонено, неотправленные ждут
mailing-too-slow = Письма этой рассылки слишком долго собирать: персональные поля обрабатывают слишком много текста. Рассылка приостановлена; ни одно письмо не отклонено, неотправленные ждут. Упростите сообщение для новой рассылки или исправьте длинные значения у получателей и нажмите «{ mailing-resume }».
log-address = Адрес
log-outcome = Попытка
log-state = Письмо сейчас
log-code = Код
log-from = С
log-to = По
log-any = Все
log-all = Показать всё
log-at = Время
log-reply = Ответ сервера
log-duration = Длительность
log-attempt = попытка { $number }
log-empty = Попыток нет
log-empty-text = Как только письма начнут уходить, здесь появится каждая попытка с ответом сервера.
log-reply-filter = Только этот ответ:
unit-ms = мс
duration-seconds = { $count } с
duration-minutes = { $count } мин
duration-hours = { $count } ч
error-not-found = Этого больше нет.
error-end-in-past = Окончание уже прошло. Укажите более позднее время.
error-start-in-past = Эта дата уже прошла. Выберите более позднюю или «{ mailing-begin-now }».
error-audience-empty = Выберите список или получателей.
error-audience-suppressed = Все эти получатели отписались или исключены.
error-sender-missing = Укажите адрес отправителя: у сервиса своего нет.
error-not-verified = Ваш адрес ещё не подтверждён. Откройте ссылку из письма, которое мы вам отправили.
error-blocked = Ваша учётная запись заблокирована.
error-disabled = Эта рассылка отключена менеджером.
error-base-url-unset = Сервис не знает своего публичного адреса, и ссылки в письмах никуда бы не вели. Администратору нужно задать настройку base_url.
error-base-url-local = Публичный адрес сервиса (настройка base_url) не открывается с других компьютеров, и ссылки в письмах никуда бы не вели. Администратору нужно её исправить.
error-mail-from-invalid = На адрес отправителя самого сервиса (настройка mail_from) никто не сможет ответить. Администратору нужно задать другой.
error-sender-invalid = На адреса в .invalid и localhost никто не сможет ответить. Укажите другой адрес отправителя.
mailing-stuck = Письма сейчас не уходят
