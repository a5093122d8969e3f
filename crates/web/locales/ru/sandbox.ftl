sandbox-title = Песочница
sandbox-what = Почтовый сервер не настроен, поэтому письма попадают сюда, а не в ящики получателей. Последние письма хранятся в памяти.
sandbox-count = { $count ->
    [one] Пришло { $count } письмо
    [few] Пришло { $count } письма
   *[many] Пришло { $count } писем
}, { $kept ->
    [one] хранится последнее { $kept }
    [few] хранятся последние { $kept }
   *[many] хранятся последние { $kept }
}
sandbox-search = Поиск по адресу или теме
sandbox-clear = Очистить песочницу
sandbox-clear-question = Удалить из песочницы все письма?
sandbox-cleared = Песочница пуста.
sandbox-empty-title = Писем пока нет
sandbox-empty-text = Отправьте проверочное письмо или запустите рассылку: письма появятся здесь.
sandbox-subject = Тема
sandbox-no-subject = (без темы)
sandbox-from = От кого
sandbox-to = Кому
sandbox-at = Пришло
sandbox-size = Размер
sandbox-unsubscribe = Отписаться как получатель
sandbox-headers = Заголовки
