blog-title = Blog
blog-lead = How to write letters people like to receive, and how to run mailings from your own server.
blog-feed = Blog feed
blog-to-account = Account
blog-search = Search the blog
blog-tags = Topics
blog-all = All articles
blog-empty = Nothing here yet
blog-empty-text = The first article is being written. Check back soon.
blog-found = { $count ->
    [one] { $count } article found
   *[other] { $count } articles found
}
blog-minutes = { $count ->
    [one] { $count } min read
   *[other] { $count } min read
}
blog-views = Views:
blog-page = Page { $page } of { $pages }
blog-beside = Previous and next articles
blog-earlier = Previous article
blog-later = Next article
blog-related = Read next
