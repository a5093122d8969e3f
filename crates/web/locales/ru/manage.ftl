nav-manage = Управление
manage-mailings = Все рассылки
manage-users = Пользователи
manage-mailings-search = Название или адрес владельца
manage-user-new = Новый пользователь
manage-user-new-lead = На этот адрес придёт письмо со ссылкой, по которой задают пароль. До этого войти с учётной записью нельзя.
manage-user-new-button = Отправить приглашение
manage-user-new-name = Имя
manage-user-new-language = Язык
manage-user-invited = Учётная запись создана, письмо отправляется.
manage-users-search = Адрес или имя
manage-of-user = Рассылки пользователя
manage-from = С
manage-to = По
manage-all = Все
manage-no-mailings = Ни одной рассылки пока нет
manage-owner = Владелец
manage-begun = Запущена
manage-user = Пользователь
manage-user-state = Состояние
manage-role = Роль
manage-mailings-count = Рассылок
manage-sent = Отправлено писем
manage-seen = Последний визит
manage-never = ни разу
manage-user-mailings = Рассылки
manage-audit = Что было сделано
manage-account = Учётная запись
manage-since = Регистрация
manage-verified = Адрес подтверждён
manage-not-yet = ещё нет
manage-blocked-since = Доступ заблокирован
manage-reason = Причина
manage-volume = Объём
manage-sent-all = { $count ->
    [one] Письмо отправлено за всё время
    [few] Письма отправлены за всё время
   *[many] Писем отправлено за всё время
}
manage-sent-lately = Из них за последние 30 дней
manage-failed-all = { $count ->
    [one] Письмо отклонено
    [few] Письма отклонены
   *[many] Писем отклонено
}
manage-unsubscribed = Отписок от писем
manage-complained = Жалоб на письма
manage-block = Заблокировать
manage-block-reason = Причина блокировки
manage-block-hint = На всех устройствах пользователя сразу будет выполнен выход, письма прекратятся в течение секунды.
manage-block-message = Сообщение для этого человека
manage-block-message-hint = Показывается при входе с верным паролем. Можно не заполнять.
manage-told = Сообщение при входе
manage-block-self = Заблокировать себя нельзя.
manage-block-admin = Администраторов блокировать нельзя.
manage-unblock = Разблокировать
manage-unblock-reason = Комментарий, если нужен
manage-unblock-hint = Рассылки пользователя продолжатся с того места, где остановились.
manage-blocked = Учётная запись заблокирована.
manage-unblocked = Учётная запись разблокирована.
manage-role-hint = Новая роль действует, начиная со следующей открытой страницы.
manage-role-reason = Причина, если нужна
manage-role-changed = Роль изменена.
manage-letter = Письмо
manage-letter-subject = Тема:
manage-letter-hint = Так письмо выглядело в последний раз или будет выглядеть; вместо получателя подставлен вымышленный.
manage-letter-none = Письма пока нет.
letter-pictures-hint = Картинки с других сайтов не загружаются: по ним отправитель увидел бы, что письмо просматривают.
letter-pictures = Показать картинки
complaints-title = Жалобы
complaints-text = Что получатели пишут на странице, куда ведёт ссылка для отписки. Отправитель видит только число жалоб.
complaints-about = Только о рассылке
complaints-mailing = Рассылка
complaints-who = Получатель
complaints-what = Текст жалобы
complaints-deleted = удалённая рассылка
complaints-empty = Жалоб нет
complaints-empty-text = Если получатель пожалуется на письмо, жалоба появится здесь.
manage-off-since = Отключена
manage-disable = Отключить
manage-disable-reason = Причина отключения
manage-disable-hint = Письма прекратятся в течение секунды. Владелец увидит причину на странице рассылки, а включить её сам не сможет.
manage-enable = Включить снова
manage-enable-reason = Комментарий, если нужен
manage-disabled = Рассылка отключена.
manage-enabled = Рассылка снова включена.
manage-new = Новая учётная запись
manage-new-yes = ещё не одобрена
manage-approve = Одобрить учётную запись
manage-approve-hint = Учётная запись новая: пока менеджер её не одобрит, рассылки ждут или уходит лишь несколько писем в день.
manage-user-approved = Учётная запись одобрена.
manage-limits = Ограничения
manage-limits-hint = Пустое поле — значение по умолчанию, оно показано в поле. «unlimited» снимает ограничение; размеры можно писать так: 200MB.
manage-limits-reason = Причина изменения
manage-limits-changed = Ограничения изменены.
limit-letters-per-hour = Писем в час
limit-letters-per-day = Писем в день
limit-recipients = Получателей
limit-mailings-at-once = Рассылок одновременно
limit-letters-waiting = Писем в очереди
limit-messages = Сообщений
limit-letter-size = Размер письма
limit-uploads-waiting = Загруженных файлов в очереди
limit-uploads-size = Общий размер этих файлов
limit-pictures = Картинок
limit-previews-per-hour = Предпросмотров в час
limit-test-letters-per-hour = Проверочных писем в час
approvals-title = Ждут одобрения
approvals-lead = Рассылки новых учётных записей, которые ещё не одобрены. Вместе с рассылкой одобряется учётная запись: эта и все следующие рассылки пойдут без ограничений для новых.
approvals-empty = Ни одна рассылка не ждёт одобрения
approvals-empty-text = Когда новая учётная запись запустит рассылку, она появится здесь.
approvals-age = Учётная запись создана
approvals-days = { $count ->
    [0] сегодня
    [one] { $count } день назад
    [few] { $count } дня назад
   *[many] { $count } дней назад
}
approvals-audience = Кому
approvals-people = { $count ->
    [one] { $count } человеку
   *[other] { $count } людям
}
approvals-reason-hint = Чтобы отклонить, причина обязательна: владелец увидит её на странице рассылки и в письме. Она остаётся в журнале действий.
approvals-approve = Одобрить рассылку и учётную запись
approvals-reject = Отклонить
approvals-more = Есть и другие: они появятся, когда эти будут одобрены или отклонены.
approvals-changed = Рассылку тем временем изменили: письмо, отправитель или получатели уже не те, что вы видели. Одобрения не было; ниже — то, что есть сейчас.
approvals-approved-before = Ничего не изменилось: учётную запись уже одобрили ({ $by }, { $at }), и рассылка больше не ждёт. Отправленное не вернуть, но рассылку ещё можно отключить на её странице.
approvals-rejected-before = Ничего не изменилось: рассылку уже отклонили ({ $by }, { $at }). Её можно снова включить на её странице — тогда она опять будет ждать одобрения.
approvals-not-waiting = Ничего не изменилось: рассылка больше не ждёт одобрения.
approvals-decide = По этой рассылке нужно решение менеджера
approvals-decide-text = У рассылки новая учётная запись, которая ещё не одобрена. Посмотрите на этой странице письмо и получателей, затем одобрите или отклоните рассылку.
approvals-queue = Все рассылки, которые ждут одобрения
approvals-approved = Рассылка и учётная запись одобрены.
approvals-rejected = Рассылка отклонена. Владелец получит письмо с причиной.
user-active = Доступ открыт
user-unverified = Адрес не подтверждён
user-blocked = Доступ заблокирован
audit-title = Журнал действий
audit-search = Адрес, действие или причина
audit-actor = Кто
audit-kind = Действие
audit-at = Когда
audit-what = Что сделано
audit-about-one = Только об одном пользователе или одной рассылке.
audit-empty = Пока ничего не происходило
audit-empty-text = Здесь навсегда остаётся запись о каждой блокировке, каждом отключении и каждой смене роли.
audit-deleted = удалённая учётная запись
audit-user-blocked = Учётная запись заблокирована
audit-user-unblocked = Учётная запись разблокирована
audit-role-changed = Изменена роль
audit-user-created = Создана учётная запись
audit-user-verified = Адрес признан подтверждённым
audit-password-set = Задан пароль
audit-second-factor-removed = Выключен вход в два шага
audit-user-deleted = Удалена учётная запись
audit-mailing-disabled = Рассылка отключена
audit-user-approved = Новая учётная запись одобрена
audit-limits-changed = Изменены ограничения
audit-limit-default = по умолчанию
audit-limit-unlimited = без ограничений
audit-mailing-approved = Рассылка и учётная запись одобрены
audit-mailing-rejected = Рассылка отклонена
audit-mailing-enabled = Рассылка снова включена
audit-suppression-lifted = Исключённый адрес возвращён
audit-server-created = Почтовый сервер добавлен
audit-server-changed = Почтовый сервер изменён
audit-server-enabled = Почтовый сервер включён
audit-server-disabled = Почтовый сервер отключён
audit-server-resumed = Почтовый сервер проверен заново
audit-server-deleted = Почтовый сервер удалён
audit-site-renamed = Сайт переименован
settings-title = Настройки
settings-site = Этот сайт
settings-site-name = Название
settings-site-name-hint = Стоит на страницах сайта, в служебных письмах и на странице отписки. Действует сразу, без перезапуска.
settings-saved = Сохранено.
settings-configuration = Настройки процесса
settings-text = Эти настройки действуют в этом процессе. Меняются они в файле настроек или в окружении; секреты не показываются.
settings-version = Версия
settings-database = База данных
settings-key = Настройка
settings-value = Значение
settings-source = Откуда
settings-from-default = по умолчанию
settings-from-nowhere = не задано
settings-from-dot-env = { $variable } в файле .env
settings-from-environment = { $variable } в окружении
mailing-disabled-reason = Причина:
mailing-disabled-hint = Включить её снова может только менеджер.
mailing-complaints = { $count ->
    [one] { $count } жалоба на письма этой рассылки
    [few] { $count } жалобы на письма этой рассылки
   *[many] { $count } жалоб на письма этой рассылки
}
mailing-complaints-hint = Жалобы видят менеджеры сервиса. Пишите только тем, кто об этом просит, и не прячьте ссылку для отписки.
mailing-disabled-refused = Эта рассылка отключена менеджером. Запустить, продолжить, изменить или скопировать её нельзя, пока менеджер не включит её снова.
error-cannot-block-self = Заблокировать себя нельзя.
error-cannot-block-admin = Администраторов блокировать нельзя.
error-last-administrator = Это последний администратор, который может войти. Сначала назначьте администратором кого-нибудь ещё.
error-has-open-mailings = { $count ->
    [one] У пользователя { $count } рассылка идёт или на паузе; в новой роли её было бы не остановить. Сначала отмените её.
    [few] У пользователя { $count } рассылки идут или на паузе; в новой роли их было бы не остановить. Сначала отмените их.
   *[many] У пользователя { $count } рассылок идут или на паузе; в новой роли их было бы не остановить. Сначала отмените их.
}
manage-second = Вход в два шага
manage-second-since = включён { $at }
manage-second-lead = На случай, если потеряны и телефон, и коды восстановления. Убедитесь, что просит действительно этот человек: после этого учётную запись откроет один пароль. Пользователю придёт письмо об этом.
manage-second-question = Выключить этому пользователю вход в два шага?
manage-second-done = Вход в два шага выключен, пользователю отправлено письмо.
manage-overview-title = Обзор сервиса
manage-overview-users = { $count ->
    [one] Активный пользователь
    [few] Активных пользователя
   *[many] Активных пользователей
}
manage-overview-running = { $count ->
    [one] Рассылка идёт
    [few] Рассылки идут
   *[many] Рассылок идёт
}
manage-overview-sent = { $count ->
    [one] Письмо отправлено за 30 дней
    [few] Письма отправлены за 30 дней
   *[many] Писем отправлено за 30 дней
}
manage-overview-failed = { $count ->
    [one] Письмо отклонено за 30 дней
    [few] Письма отклонены за 30 дней
   *[many] Писем отклонено за 30 дней
}
manage-senders = Кто отправил больше всех за 30 дней
manage-senders-empty = За это время ничего не отправлено.
manage-senders-runs = Запусков
manage-senders-unsubscribed = Отписки
manage-senders-complained = Жалобы
manage-next = Ближайшие рассылки
manage-next-empty = Ничего не запланировано.
manage-next-at = Начало
settings-untrusted = Все посетители приходят с адреса { $peer }. Если это ваш обратный прокси, добавьте его в trusted_proxies: он передаёт { $header }, но не считается доверенным, поэтому ограничения считаются для всех его посетителей вместе.
settings-untrusted-seen = Последний раз: { $at }.
complaints-test = Проверочное письмо
