error-title-bad-request = Непонятный запрос
error-title-forbidden = Нет доступа
error-title-forged = Страница устарела
error-title-not-found = Не найдено
error-title-method = Здесь так нельзя
error-title-timeout = Слишком долго
error-title-conflict = Сейчас это невозможно
error-title-too-large = Слишком большой объём
error-title-invalid = Что-то не так
error-title-too-many = Слишком много попыток
error-title-internal = Что-то сломалось
error-page-bad-request = Не удалось прочитать адрес или форму.
error-page-forbidden = Ваша учётная запись не может открыть эту страницу.
error-page-forged = Вернитесь, обновите страницу и повторите действие. Ничего не изменилось.
error-page-not-found = По этому адресу ничего нет, или это принадлежит другому человеку.
error-page-method = Такой адрес есть, но не для этого действия.
error-page-timeout = Сервер не успел ответить. Попробуйте ещё раз чуть позже.
error-page-conflict = Это используется или тем временем изменилось. Вернитесь и посмотрите ещё раз.
error-page-too-large = Отправлено больше, чем принимает сервис.
error-page-invalid = Одно из значений не принято. Вернитесь и проверьте.
error-page-too-many = Так мы защищаем учётные записи от подбора. Доступ никому не закрыт.
error-page-internal = Вы ни при чём. Ошибка записана в журнал сервиса; попробуйте ещё раз чуть позже.
error-invalid = Такое значение не принимается.
error-required = Заполните это поле.
error-too-long = Не больше { $max } знаков.
error-too-short = Не меньше { $min } знаков.
error-control-characters = Переводы строк и управляющие символы здесь не допускаются.
error-sent-before = Эта форма уже сохранена с другим содержимым. То, что вы видите ниже, ещё не сохранено: при сохранении появится отдельная запись.
error-unknown-choice = Выберите один из вариантов.
error-unknown-zone = Такого часового пояса нет.
error-duplicate = Такое уже есть.
error-email-syntax = Это не адрес электронной почты.
error-wrong-login = Неверный адрес или пароль.
error-title-busy = Сейчас слишком много запросов
error-page-busy = Слишком многие хотят того же в эту минуту. Попробуйте ещё раз.
error-wait-seconds = { $count ->
    [one] Попробуйте через { $count } секунду.
    [few] Попробуйте через { $count } секунды.
   *[many] Попробуйте через { $count } секунд.
}
error-wait-minutes = { $count ->
    [one] Попробуйте через { $count } минуту.
    [few] Попробуйте через { $count } минуты.
   *[many] Попробуйте через { $count } минут.
}
error-password-common = Такие пароли подбирают первыми. Придумайте тот, который придёт в голову только вам.
error-password-own = Имя или адрес легко угадать. Придумайте что-нибудь другое.
error-wrong-code = Код неверный или уже использован.
error-wrong-password = Это не ваш нынешний пароль.
error-domain-not-allowed = Здесь можно зарегистрироваться только с адресом в домене { $domains }.
error-passkey-unknown = Этот ключ доступа здесь ничего не открывает, или прошло слишком много времени. Попробуйте ещё раз.
error-passkey-failed = Не получилось: ключ не выбран, или на этом устройстве нет ключа для этого сайта.
error-unverified = Сначала подтвердите свой адрес.
error-colleague-own = Это ваш адрес: проверочные письма приходят туда и так.
error-too-many-colleagues = Не больше { $max } коллег. Сначала уберите кого-нибудь.
error-test-stranger = { $email } — не ваш подтверждённый адрес и не адрес коллеги, который согласился. Спросить можно в разделе «Учётная запись» → «Коллеги».
error-test-suppressed = { $email } отписан от ваших писем.
error-test-limit = Не больше { $max } проверочных писем в час. Попробуйте позже.
