# Тексты обзора: прошедшие недели и ближайшие.
dash-attention = Требует внимания
dash-attention-waiting = { $count ->
    [one] { $count } письмо ждёт почтовый сервер
    [few] { $count } письма ждут почтовый сервер
   *[many] { $count } писем ждут почтовый сервер
}
dash-attention-disabled = Отключена менеджером
dash-attention-skipped = { $count ->
    [one] Пропущена { $count } дата
    [few] Пропущены { $count } даты
   *[many] Пропущено { $count } дат
}
dash-attention-failed = { $count ->
    [one] Отклонено { $count } письмо
    [few] Отклонены { $count } письма
   *[many] Отклонено { $count } писем
}
dash-attention-in-doubt = { $count ->
    [one] { $count } письмо под вопросом: оно могло прийти дважды
    [few] { $count } письма под вопросом: они могли прийти дважды
   *[many] { $count } писем под вопросом: они могли прийти дважды
}
dash-days = Письма за последние 30 дней
dash-days-sum = отправлено { $sent }, отклонено { $failed }
dash-day = День
dash-week = Неделя с
dash-calendar = Ближайшие недели
dash-calendar-empty = На ближайшие недели ничего не запланировано.
dash-more = и ещё { $count }
dash-growth = Новые получатели по неделям
dash-added = Добавлено
dash-suppressed = { $count ->
    [one] { $count } исключённый адрес
    [few] { $count } исключённых адреса
   *[many] { $count } исключённых адресов
}
dash-suppressed-lately = из них { $count } за последние 30 дней
