blog-title = Блог
blog-lead = Как писать письма, которым рады, и вести рассылки со своего сервера.
blog-feed = Лента блога
blog-to-account = Учётная запись
blog-search = Поиск по блогу
blog-tags = Темы
blog-all = Все статьи
blog-empty = Пока ничего нет
blog-empty-text = Первая статья уже пишется. Загляните чуть позже.
blog-found = { $count ->
    [one] Нашлась { $count } статья
    [few] Нашлись { $count } статьи
   *[many] Нашлось { $count } статей
}
blog-minutes = { $count ->
    [one] { $count } минута чтения
    [few] { $count } минуты чтения
   *[many] { $count } минут чтения
}
blog-views = Просмотров:
blog-page = Страница { $page } из { $pages }
blog-beside = Соседние статьи
blog-earlier = Предыдущая статья
blog-later = Следующая статья
blog-related = Читайте также
