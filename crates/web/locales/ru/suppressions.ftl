suppressions-title = Адреса, на которые не пишем
suppressions-short = Отписавшиеся
suppressions-text = На эти адреса не уходит ни одна рассылка, в каких бы списках они ни были. Они остаются здесь, даже если получателя удалить или импортировать снова.
suppressions-add-label = Больше не писать на
suppressions-add = Не писать
suppressions-add-question = Больше не писать на { $email }?
suppressions-remove = Снова писать
suppressions-remove-question =
    Снова отправлять письма на { $email }?
    Делайте это, только если человек сам попросил.
suppressions-search = Часть адреса
suppressions-reason = Почему
suppressions-since = С какого времени
suppressions-mailing = рассылка
suppressions-reason-unsubscribed = Отписался
suppressions-reason-manual = Добавлен вами
suppressions-reason-bounced = Такого адреса нет
suppressions-reason-complained = Пожаловался на письмо
suppressions-empty = Никто не отписался
suppressions-empty-text = Кто отписывается по ссылке в письме, попадает сюда сам. Сюда же попадают адреса, ящиков которых не существует.
suppressions-added = На { $email } больше не пишем.
suppressions-known = На { $email } и так не писали.
suppressions-removed = На { $email } снова пишем.
