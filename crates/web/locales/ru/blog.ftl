blog-title = Блог
blog-lead = Как писать письма, которым рады, и вести рассылки со своего сервера.
blog-feed = Лента блога
blog-to-account = Мой кабинет
blog-search = Поиск по блогу
blog-tags = Темы
blog-all = Все статьи
blog-empty = Пока ничего нет
blog-empty-text = Первая статья уже пишется. Загляните чуть позже.
blog-found = { $count ->
    [one] Нашлась { $count } статья
    [few] Нашлось { $count } статьи
   *[other] Нашлось { $count } статей
}
blog-minutes = { $count ->
    [one] { $count } минута чтения
    [few] { $count } минуты чтения
   *[other] { $count } минут чтения
}
blog-views = Просмотров:
blog-newer = Новее
blog-older = Раньше
blog-page = Страница { $page } из { $pages }
blog-beside = Соседние статьи
blog-earlier = До этого
blog-later = После этого
blog-related = Читайте также
