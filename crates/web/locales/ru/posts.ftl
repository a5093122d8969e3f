nav-posts = Статьи
posts-title = Статьи
posts-to-blog = В блог
posts-new = Новая статья
posts-new-hint = Хватит рабочего заголовка: его можно поменять когда угодно.
posts-begin = Начать писать
posts-begun = Черновик создан. Пока вы его не опубликуете, его видят только редакторы.
posts-empty = Напишите первую статью
posts-empty-text = Здесь появятся черновики, запланированные и опубликованные статьи блога.
posts-search = Поиск по статьям
posts-state = Состояние
posts-all = Все
posts-filter-draft = Черновики
posts-filter-scheduled = Запланированные
posts-filter-published = Опубликованные
posts-filter-unpublished = Снятые
posts-state-draft = Черновик
posts-state-scheduled = Запланирована
posts-state-published = Опубликована
posts-state-unpublished = Снята с публикации
posts-title-field = Заголовок
posts-views = Просмотры
posts-changed = Изменена
posts-from = с { $time }
posts-versions = История
posts-look = Открыть в блоге
posts-preview = Предпросмотр
posts-preview-note = Так будет выглядеть сохранённый текст. Эту страницу видят только редакторы.
posts-preview-back = Вернуться в редактор
posts-saved = Сохранено.
posts-published = Опубликовано: теперь статью могут читать все.
posts-scheduled = Запланировано: статья откроется для всех { $time }.
posts-unpublished = Статья снята с публикации. Текст остался здесь.
posts-deleted = Статья удалена.
posts-discarded = Несохранённый текст отброшен, перед вами сохранённый.
posts-delete-published = Опубликованную статью удалить нельзя. Сначала снимите её с публикации.
posts-typed = Черновик записан { $time }, ещё не сохранён
posts-typed-found = Этот текст вы набрали до { $time } и не сохранили. Можно продолжать с этого места.
posts-typed-discard = Отбросить и показать сохранённый текст
posts-body = Текст
posts-body-hint = Markdown: **жирный**, _курсив_, ## заголовок, [текст](адрес), списки, таблицы, цитаты. Картинки можно перетащить или вставить прямо в текст.
posts-toolbar = Оформление
posts-rendered = Как увидят читатели
posts-md-bold = Жирный
posts-md-italic = Курсив
posts-md-h2 = Заголовок
posts-md-h3 = Подзаголовок
posts-md-link = Ссылка
posts-md-quote = Цитата
posts-md-ul = Список
posts-md-ol = Нумерованный список
posts-md-code = Код
posts-md-picture = Картинка
posts-pictures = Картинки
posts-pictures-drop = Перетащите картинки сюда или выберите файлы
posts-pictures-limits = JPEG, PNG, WebP или GIF до { $size }. Данные камеры удаляются.
posts-pictures-choose = Выбрать картинку
posts-pictures-upload = Загрузить
posts-pictures-save-first = Сначала сохраните текст: страница загрузится заново.
posts-picture-insert = Вставить
posts-picture-stored = Картинка загружена. Выберите её обложкой или вставьте её строку в текст.
posts-cover = Обложка
posts-cover-none = Нет
posts-cover-choose = Сделать { $name } обложкой
posts-cover-alt = Что на обложке
posts-cover-alt-hint = Для тех, кто её не видит: «Рука опускает письмо в красный ящик».
posts-about = О статье
posts-summary = Коротко о главном
posts-summary-hint = Одно-два предложения для списков и поисковиков. Если не заполнять, возьмём начало текста.
posts-tags = Темы
posts-tags-hint = Через запятую, не больше десяти.
posts-slug = Адрес
posts-slug-hint = Конец адреса статьи. Старые адреса опубликованной статьи ведут на новый.
posts-author = Автор
posts-language = Язык статьи
posts-save-live = Сохранить и показать всем
posts-publish = Опубликовать сейчас
posts-publish-at = или начиная с
posts-publish-zone = Часовой пояс: { $zone }
posts-schedule = Запланировать
posts-unplan = Отменить план
posts-unplan-question = Статья не выйдет в назначенное время и останется здесь черновиком.
posts-unpublish = Снять с публикации
posts-unpublish-question = Статью больше никто не сможет прочитать. Текст и адрес останутся здесь.
posts-delete-question = Удалить «{ $title }» вместе с историей? Вернуть будет нельзя.
posts-version = №
posts-version-number = Версия { $version }
posts-version-act = Что произошло
posts-version-by = Кто
posts-version-at = Когда
posts-version-nobody = учётная запись удалена
posts-act-created = Начата
posts-act-saved = Сохранена
posts-act-restored = Возвращён прежний текст
posts-act-published = Опубликована
posts-act-scheduled = Запланирована
posts-act-unpublished = Снята с публикации
posts-same = То же, что сейчас
posts-same-text = Эта версия не отличается от текущего текста.
posts-differences = Что изменилось с этой версии: зачёркнутое исчезло, выделенное появилось.
posts-line-gone = убрано
posts-line-come = добавлено
posts-restore = Вернуть этот текст
posts-restore-question = Текущий текст останется в истории. Вернуть текст этой версии?
posts-restored = Текст версии { $version } возвращён.
posts-restore-unfinished = В этой версии нет того, что нужно опубликованной статье. Сначала снимите статью с публикации.
error-slug-taken = Этот адрес занят другой статьёй или был у неё раньше.
error-slug-letters = В адресе должны быть буквы или цифры.
error-tag-letters = { $max ->
    [one] В теме должны быть буквы или цифры, не больше { $max } знака.
   *[other] В теме должны быть буквы или цифры, не больше { $max } знаков.
}
error-too-many-tags = { $max ->
    [one] Не больше { $max } темы.
   *[other] Не больше { $max } тем.
}
error-moment-passed = Это время уже прошло.
error-picture-kind = Этот файл — не картинка JPEG, PNG, WebP или GIF. Выберите другой.
error-picture-bytes = Файл больше { $max } МБ.
error-picture-pixels = В картинке больше { $max } млн точек, или её сторона слишком длинная. Уменьшите её.
error-picture-memory = Картинке нужно слишком много памяти. Сохраните её с меньшим числом точек или обычным JPEG.
error-body-nesting = { $max ->
    [one] Цитаты или списки вложены глубже { $max } уровня.
   *[other] Цитаты или списки вложены глубже { $max } уровней.
}
error-body-pictures = { $max ->
    [one] В тексте больше { $max } картинки.
   *[other] В тексте больше { $max } картинок.
}
error-body-ampersands = { $max ->
    [one] В тексте больше { $max } знака &.
   *[other] В тексте больше { $max } знаков &.
}
error-body-html = Страница с этим текстом получается больше { $max } МБ. Разделите его или уменьшите число сносок.
error-picture-broken = Картинка повреждена. Сохраните её ещё раз и загрузите снова.
error-picture-busy = Слишком много картинок сразу. Попробуйте чуть позже.
