number = { $n }
quoted = «{ $text }»
skip = К содержанию
menu = Меню
language = Язык
theme = Оформление
theme-light = Светлое
theme-dark = Тёмное
theme-auto = Как в системе
nav-main = Главное меню
nav-home = Обзор
nav-recipients = Получатели
nav-lists = Списки
nav-messages = Сообщения
nav-mailings = Рассылки
nav-sandbox = Песочница
login = Войти
logout = Выйти
footer = Ваши рассылки на вашем сервере.
to-home = На главную
save = Сохранить
save-and-return = Сохранить и закрыть
cancel = Отмена
confirm-ok = Да, выполнить
delete = Удалить
edit = Изменить
copy = Копировать
open = Открыть
search = Поиск
show = Показать
download = Скачать
close = Закрыть
more = Ещё
add = Добавить
chosen = выбрано: { $count }
select-all = Выбрать все
select-one = Выбрать: { $name }
actions = Действия
pages = Страницы
page-first = В начало
page-previous = Назад
page-next = Дальше
none = нет
no-matches = Ничего не найдено
no-matches-hint = Попробуйте изменить запрос.
form-has-errors = Проверьте отмеченные поля.
request-failed = Сервер не ответил. Попробуйте ещё раз.
changed-meanwhile = Пока страница была открыта, эти данные изменились: в другой вкладке или с другой учётной записи.
changed-meanwhile-hint = Ниже — то, что ввели вы. Если сохранить ещё раз, другая версия будет заменена.
form-arrived-before = Эта форма уже сохранена. Повторно ничего не сделано.
changed-fields = Там изменено:
ago-now = только что
ago-seconds = { $count } с назад
ago-minutes = { $count } мин назад
ago-hours = { $count } ч назад
ago-days = { $count ->
    [one] { $count } день назад
    [few] { $count } дня назад
   *[many] { $count } дней назад
}
count-letters = { $count ->
    [one] { $count } письмо
    [few] { $count } письма
   *[many] { $count } писем
}
count-recipients = { $count ->
    [one] { $count } получатель
    [few] { $count } получателя
   *[many] { $count } получателей
}
# Под числом на плитке.
tile-recipients = { $count ->
    [one] Получатель
    [few] Получателя
   *[many] Получателей
}
tile-lists = { $count ->
    [one] Список
    [few] Списка
   *[many] Списков
}
tile-messages = { $count ->
    [one] Сообщение
    [few] Сообщения
   *[many] Сообщений
}
tile-mailings = { $count ->
    [one] Рассылка
    [few] Рассылки
   *[many] Рассылок
}
tile-letters = { $count ->
    [one] Письмо
    [few] Письма
   *[many] Писем
}
tile-active = { $count ->
    [one] Получает письма
    [few] Получают письма
   *[many] Получают письма
}
sandbox-band = Почтовый сервер не настроен: письма остаются на этой машине, в песочнице.
sandbox-band-link = Открыть песочницу
table-xlsx = Экспорт в Excel
table-csv = Экспорт в CSV
health-database = В базу данных сейчас нельзя записать: ничего не сохраняется, и письма не уходят.
health-disk = На диске мало места: свободно { $free }, а должно оставаться { $floor }. Файлы не принимаются, пока место не появится.
health-engine = Отправка писем в этом процессе сейчас не работает. Она запускается заново.
health-no-worker = Сейчас ни один процесс не отправляет письма. Запустите skychimp worker или skychimp serve без --no-worker.
