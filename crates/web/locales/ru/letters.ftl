### Письма самого сервиса.

letter-hello = Здравствуйте!
letter-hello-name = Здравствуйте, { $name }!
letter-link = Если кнопка не работает, скопируйте этот адрес в браузер:
letter-footer = Это письмо отправил сервис рассылок
letter-verify-subject = Подтвердите свой адрес
letter-verify-text = Этот адрес указан при регистрации — скорее всего, вами. Нажмите кнопку, чтобы подтвердить, что адрес ваш: после этого можно отправлять рассылки.
letter-verify-button = Подтвердить адрес
letter-verify-note = Ссылка действует 24 часа. Если это были не вы, ничего не делайте — или откройте ссылку и удалите там эту учётную запись.
letter-known-subject = У вас уже есть учётная запись
letter-known-text = При регистрации указан адрес { $email } — скорее всего, вами. С ним уже есть учётная запись. Если вы забыли пароль, задайте новый.
letter-known-button = Задать новый пароль
letter-known-note = Ссылка действует 24 часа. Если это были не вы, ничего делать не нужно: никто не узнал, что у вас есть учётная запись.
letter-reset-subject = Новый пароль
letter-reset-text = Вы попросили новый пароль для { $email }. Кнопка ведёт на страницу, где его можно задать.
letter-reset-button = Задать новый пароль
letter-reset-note = Ссылка действует 24 часа и только один раз. Если это были не вы, ничего не делайте: пароль останется прежним.
letter-invited-subject = Для вас создана учётная запись
letter-invited-text = В этом сервисе для { $email } создана учётная запись. Задайте пароль, и можно будет войти.
letter-invited-button = Задать пароль
letter-invited-note = Ссылка действует 24 часа и только один раз. Позже новый пароль можно запросить на странице входа.
letter-password-changed-subject = Ваш пароль изменён
letter-password-changed-text = Пароль учётной записи { $email } изменён { $at }. На других устройствах выполнен выход.
letter-password-changed-button = Это не я
letter-password-changed-note = Если это были вы, ничего делать не нужно. Если нет, сразу задайте новый пароль: кнопка ведёт на нужную страницу.
letter-confirm-email-subject = Подтвердите новый адрес
letter-confirm-email-text = Этот адрес хотят указать в учётной записи { $email }. Нажмите кнопку, чтобы подтвердить, что он ваш.
letter-confirm-email-button = Подтвердить адрес
letter-confirm-email-note = Ссылка действует 24 часа. Если это были не вы, ничего не делайте: ничего не изменится.
letter-email-changed-subject = Ваш адрес изменён
letter-email-changed-text = Теперь адрес вашей учётной записи — { $new }; письма о ней больше не будут приходить сюда.
letter-email-changed-button = Это не я
letter-email-changed-note = Если это были вы, ничего делать не нужно. Если нет, отмените изменение: кнопка действует семь дней, на всех устройствах будет выполнен выход, и вы зададите новый пароль.
letter-second-factor-on-subject = Вход в два шага включён
letter-second-factor-on-text = Для учётной записи { $email } { $at } включён вход в два шага. Теперь после пароля нужен код.
letter-second-factor-on-button = Это не я
letter-second-factor-on-note = Если это были вы, ничего делать не нужно. Если нет, сразу задайте новый пароль: кнопка ведёт на нужную страницу.
letter-second-factor-off-subject = Вход в два шага выключен
letter-second-factor-off-text = Для учётной записи { $email } { $at } выключен вход в два шага. Теперь её открывает один пароль.
letter-second-factor-off-button = Это не я
letter-second-factor-off-note = Если это были вы, ничего делать не нужно. Если нет, сразу задайте новый пароль: кнопка ведёт на нужную страницу.
letter-passkey-added-subject = Добавлен ключ доступа
letter-passkey-added-text = К учётной записи { $email } { $at } добавлен ключ доступа. Он открывает её без пароля.
letter-passkey-added-button = Это не я
letter-passkey-added-note = Если это были вы, ничего делать не нужно. Если нет, сразу задайте новый пароль — кнопка ведёт на нужную страницу, — а потом удалите ключ доступа в разделе «{ account-tab-security }» своей учётной записи.
letter-passkey-removed-subject = Ключ доступа удалён
letter-passkey-removed-text = Из учётной записи { $email } { $at } удалён ключ доступа. Он больше её не открывает.
letter-passkey-removed-button = Это не я
letter-passkey-removed-note = Если это были вы, ничего делать не нужно. Если нет, ваш пароль известен кому-то ещё: задайте новый — кнопка ведёт на нужную страницу.
letter-resubscribe-subject = Вернуть подписку: { $owner }
letter-resubscribe-text = Кто-то, скорее всего вы, просит, чтобы письма от «{ $owner }» снова приходили на { $email }. Если вы этого хотите, нажмите кнопку.
letter-resubscribe-button = Подписаться снова
letter-resubscribe-note = Ссылка действует семь дней. Если это были не вы, ничего не делайте: подписка не вернётся.
letter-account-deleted-subject = Ваша учётная запись удалена
letter-account-deleted-text = Учётная запись { $email } и всё, что в ней было, удалены { $at }. Это последнее письмо о ней.
letter-account-deleted-button = На сайт
letter-account-deleted-note = Если это были не вы, ваш пароль известен кому-то ещё: смените его везде, где вы им пользуетесь, и сообщите тем, кто ведёт этот сервис.
letter-mailing-rejected-subject = Рассылка «{ $title }» отклонена
letter-mailing-rejected-text = Рассылка «{ $title }» отклонена менеджером: письма не уйдут. Причина: { $reason }
letter-mailing-rejected-button = К рассылкам
letter-mailing-rejected-note = Можно подготовить другую рассылку. Её тоже сначала посмотрит менеджер.
letter-summary-subject = { $title }: { $planned ->
    [0] отправлять было некому
    [one] отправлено { $sent } из { $planned } письма
   *[other] отправлено { $sent } из { $planned } писем
}
letter-summary-button = Открыть отчёт
letter-summary-cause = Главная причина, по которой письма отклонены
letter-summary-one-cause = Одна из причин, по которым письма отклонены
letter-summary-who = Эти получатели:
letter-summary-next = Следующий запуск: { $at }.
letter-summary-note = Это письмо приходит после каждого запуска ваших рассылок. Чтобы не получать его, снимите в профиле отметку «{ profile-summaries }»:
letter-summaries-subject = { $count ->
    [one] Завершён { $count } запуск
    [few] Завершены { $count } запуска
   *[many] Завершено { $count } запусков
}: { $planned ->
    [0] отправлять было некому
    [one] отправлено { $sent } из { $planned } письма
   *[other] отправлено { $sent } из { $planned } писем
}
letter-summaries-text = { $count ->
    [one] Завершён { $count } запуск ваших рассылок:
    [few] Завершены { $count } запуска ваших рассылок, поэтому письмо одно на все:
   *[many] Завершено { $count } запусков ваших рассылок, поэтому письмо одно на все:
}
letter-summaries-run = отправлено { $sent } из { $planned }
letter-summaries-failed = отправлено { $sent } из { $planned }, отклонено { $failed }
letter-summaries-more = { $count ->
    [one] И ещё { $count } запуск.
    [few] И ещё { $count } запуска.
   *[many] И ещё { $count } запусков.
}
letter-summaries-button = Открыть отчёты
letter-colleague-subject = Можно ли присылать вам проверочные письма?
letter-colleague-text = { $email } готовит рассылки в этом сервисе и хочет отправлять проверочные письма на ваш адрес. Если вы согласны, нажмите кнопку.
letter-colleague-button = Посмотреть и согласиться
letter-colleague-note = Ссылка действует семь дней. Если ничего не делать, писем не будет.
