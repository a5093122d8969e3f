messages-title = Сообщения
messages-new = Новое сообщение
messages-edit = Сообщение
messages-search = Поиск по теме
messages-subject = Тема
messages-subject-hint = Почтовые программы показывают около 60 знаков. Персональные поля работают и здесь.
messages-preview-text = Анонс
messages-preview-text-hint = Виден во входящих рядом с темой. Можно не заполнять.
messages-body = Содержание
messages-html = HTML
messages-text = Текст
messages-html-hint = Если в письме нет ссылки для отписки, она добавится в конце.
messages-text-hint = Для программ, которые не показывают HTML. Если оставить пустым, текст будет сделан из HTML.
messages-kind = Вид
messages-used = В рассылках
messages-changed = Изменено
messages-send = Сделать рассылку
messages-saved = Сообщение сохранено.
messages-saved-not-sendable = Сохранено, но отправить это сообщение пока нельзя: в нём есть ошибки. Они перечислены под текстом.
messages-copied = Это копия.
messages-copy-of = { $subject } (копия)
messages-deleted = Сообщение удалено.
messages-delete-question = Удалить сообщение «{ $subject }»? Отправленные письма останутся в отчётах.
messages-in-use = Это сообщение нельзя удалить: его используют рассылки { $mailings }.
messages-empty-title = Напишите первое сообщение
messages-empty-text = Сообщение состоит из темы и текста письма. Персональные поля подставят имя каждого получателя там, где вы укажете.
messages-empty-button = Написать сообщение
messages-open-other = Открыть другую версию
messages-insert = Персональное поле
messages-insert-name = Полное имя
messages-insert-first-name = Имя
messages-insert-friend = друг
messages-insert-email = Адрес
messages-insert-unsubscribe = Ссылка для отписки
messages-problems = Проверка
messages-problems-show = Проверить сообщение
messages-no-problems = Ошибок нет.
messages-preview = Предпросмотр
messages-preview-empty = Пока ничего не написано.
messages-preview-failed = Письмо составить не удалось:
messages-preview-text-only = В сообщении нет HTML. Получатели увидят текст:
messages-who = От лица получателя
messages-who-search = Найти получателя
messages-part = Часть письма
messages-source = Исходный код
messages-width = Ширина
messages-desktop = Компьютер
messages-phone = Телефон
messages-sample-person = Вымышленный получатель
messages-sample-name = Мария Соколова
messages-sample =
    <h1>Здравствуйте, {"{{"} name | default("друг") {"}}"}!</h1>
    <p>Напишите здесь, что нового.</p>
messages-test = Проверочное письмо
messages-test-hint = Ваш адрес или адреса коллег, которые согласились, через запятую. Проверочные письма не входят в статистику.
messages-test-button = Отправить
messages-tested = { $count ->
    [one] { $count } проверочное письмо отправляется.
    [few] { $count } проверочных письма отправляются.
   *[many] { $count } проверочных писем отправляется.
}
messages-tested-sandbox = Открыть песочницу
messages-not-tested = Проверочное письмо не отправлено.
messages-preview-limit = Предпросмотры за этот час закончились. Следующий возможен через { $minutes ->
    [one] { $minutes } минуту
    [few] { $minutes } минуты
   *[many] { $minutes } минут
}.
