recipients-title = Получатели
recipients-new = Новый получатель
recipients-import = Импорт
recipients-import-file = Импортировать файл
recipients-export = Экспорт в CSV
recipients-empty = Получателей пока нет
recipients-empty-text = Получатели — это те, кому вы пишете. Импортируйте их из таблицы или добавьте первых вручную. Потом вы напишете сообщение и запланируете рассылку.
recipients-search = Адрес, имя или телефон
recipients-list = Список
recipients-lists = Списки
recipients-any-list = Все списки
recipients-state = Состояние
recipients-any-state = Любое состояние
recipients-active = Получает письма
recipients-suppressed = Адрес исключён
recipients-more-than = { $count ->
    [one] Больше { $count } получателя
   *[other] Больше { $count } получателей
}
recipients-no-matches-hint = Измените запрос или посмотрите во всех списках и состояниях.
recipients-show-all = Показать всех получателей
recipients-chosen = Выбрано:
recipients-chosen-actions = Действия с выбранными
recipients-all = Все найденные ({ $count })
recipients-all-more = Все найденные (больше { $count })
recipients-choose-a-list = Выберите список…
recipients-add-to-list = Добавить в список
recipients-remove-from-list = Убрать из списка
recipients-delete-many-question =
    Удалить выбранных получателей?
    Они исчезнут из всех списков. Отправленные им письма останутся в отчётах, а исключённые адреса останутся исключёнными.
recipients-delete-question =
    Удалить { $email }?
    Получатель исчезнет из всех списков. Отправленные письма останутся в отчётах, а исключённый адрес останется исключённым.
recipients-email = Адрес почты
recipients-name = Полное имя
recipients-hint-name = Так, как оно будет в письме.
recipients-phone = Телефон
recipients-hint-phone = Номер с плюсом и кодом страны хранится как +79001234567, любой другой — как введён.
recipients-comment = Комментарий
recipients-hint-comment = Только для вас, в письма не попадает.
recipients-attributes = Поля
recipients-attributes-hint = Что ещё известно: город, день рождения, бонус. Эти поля можно вставить в сообщение. Пустое значение удаляет поле; новые строки появятся после сохранения.
recipients-attribute-name = Поле
recipients-attribute-value = Значение
recipients-added-at = Дата добавления
recipients-changed-at = Дата изменения
recipients-gets-nothing = Этот адрес исключён: письма на него не отправляются.
recipients-suppress = Исключить этот адрес…
recipients-added = Получатель { $email } добавлен.
recipients-saved = Получатель сохранён.
recipients-deleted = { $count ->
    [one] Удалён { $count } получатель.
    [few] Удалено { $count } получателя.
   *[many] Удалено { $count } получателей.
}
recipients-joined = { $count ->
    [one] В список добавлен { $count } получатель.
    [few] В список добавлено { $count } получателя.
   *[many] В список добавлено { $count } получателей.
}
recipients-left = { $count ->
    [one] Из списка убран { $count } получатель.
    [few] Из списка убрано { $count } получателя.
   *[many] Из списка убрано { $count } получателей.
}
recipients-choose-list = Сначала выберите список.
error-recipient-exists = Получатель с таким адресом у вас уже есть.
error-attribute-twice = Поле «{ $name }» указано дважды.
error-attribute-name-missing = Укажите название поля для этого значения.
error-attribute-key = В названии поля могут быть только буквы, цифры, пробелы, дефис и подчёркивание.
error-attribute-value = Значением может быть текст, число, true, false, null или их перечень.
error-too-many = Можно указать не больше { $max }.
