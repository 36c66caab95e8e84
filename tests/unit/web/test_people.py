"""The full list of online users."""


def test_names_everybody(as_user, ada, now):
    now.names = [f"user{number}" for number in range(30)] + ["ada"]
    page = as_user(ada).get("/people/").text
    assert "user29" in page
    assert "<b data-users-count>31</b>" in page
    assert page.count("you</span>") == 1


def test_says_when_nobody_can_tell(as_user, ada, now):
    now.unavailable = True
    page = as_user(ada).get("/people/")
    assert page.status_code == 200
    assert "Presence is unavailable" in page.text
