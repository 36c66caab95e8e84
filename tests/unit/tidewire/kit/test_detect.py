"""The defaults that a project itself gives: settings, application, sockets, requirements."""

import pytest

from tidewire.kit import InitError
from tidewire.kit.detect import constants, detect, slug

BASE = {
    "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")\n',
    "config/asgi.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings.production')\n",
    "config/settings/__init__.py": "",
    "config/settings/base.py": 'INSTALLED_APPS = ["a"]\nASGI_APPLICATION = "config.asgi.application"\n',
    "config/settings/local.py": "from .base import *\n",
    "config/settings/production.py": 'from .base import *\nINSTALLED_APPS += ["tidewire"]\n',
    "requirements/base.txt": "Django\n",
    "requirements/production.txt": "-r base.txt\n",
}


@pytest.fixture
def project(tmp_path):
    """Return `project(file=text)`: a folder with the files of BASE and these."""

    def write(changes=None, without=()):
        for name, text in (BASE | (changes or {})).items():
            if name not in without:
                path = tmp_path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return tmp_path

    return write


def test_settings_of_production_come_before_those_of_manage(project):
    found = detect(project())
    assert found.settings == "config.settings.production"
    assert found.application == "config.asgi:application"
    assert found.requirements == "requirements/production.txt"
    assert found.outbox


def test_an_application_beside_no_setting_is_the_usual_module(project):
    changes = {"config/settings/base.py": "INSTALLED_APPS = []\n"}
    assert detect(project(changes)).application == "config.asgi:application"


def test_settings_that_do_not_exist_are_passed_over(project):
    assert detect(project(without=["config/settings/production.py"])).settings == "config.settings.local"


def test_a_list_that_is_computed_has_what_is_known(project):
    changes = {"config/settings/base.py": "INSTALLED_APPS = ['a', *OTHERS]\nNAME = env('X')\n"}
    values = constants(project(changes), "config.settings.production")
    assert values == {"INSTALLED_APPS": ["a", "tidewire"]}


@pytest.mark.parametrize(
    ("routes", "sockets"),
    [
        ('path("ws/chat/<str:room>/", Chat.as_asgi())', "ws"),
        ('re_path(r"^ws/chat/(?P<room>\\w+)/$", Chat.as_asgi())', "ws"),
        ('re_path(r"/?ws/chat/", Chat.as_asgi())', ""),
        ('path("chat/<room>/", Chat.as_asgi()), path("news/", News.as_asgi())', "chat news"),
        ('path("live/", URLRouter([path("chat/", Chat.as_asgi())]))', "live"),
        ('path("<room>/", Chat.as_asgi())', ""),
        ('re_path(r"ws(?P<room>\\w+)/$", Chat.as_asgi())', ""),
        ('path("ws/", guarded(Chat.as_asgi()))', "ws"),
        ('path("page/", views.page)', ""),
    ],
)
def test_first_parts_of_the_sockets_paths(project, routes, sockets):
    found = detect(project({"chat/routing.py": f"# as_asgi\nwebsocket_urlpatterns = [{routes}]\n"}))
    assert found.sockets == sockets


def test_a_package_of_the_environment_is_no_part_of_the_project(project):
    route = 'urlpatterns = [path("other/", Other.as_asgi())]\n'
    assert detect(project({"venv/lib/site-packages/other/routing.py": route})).sockets == ""


def test_a_file_of_another_python_is_passed_over(project):
    assert detect(project({"old/routing.py": "print 'as_asgi'\n"})).sockets == ""


def test_a_folder_without_a_project_names_the_one_below(tmp_path):
    with pytest.raises(InitError, match=r"has no manage\.py: run it where manage\.py is"):
        detect(tmp_path)
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "manage.py").touch()
    with pytest.raises(InitError, match=r"has no manage\.py: tidewire init backend$"):
        detect(tmp_path)


def test_a_project_without_sockets_is_refused(project):
    changes = {"config/settings/base.py": "", "manage.py": BASE["manage.py"]}
    with pytest.raises(InitError, match=r"has no ASGI_APPLICATION, and no folder has an asgi\.py"):
        detect(project(changes, without=["config/asgi.py"]))


@pytest.mark.parametrize(
    ("folder", "name"),
    [("RDJ-CHAT", "rdj-chat"), ("90_North", "north"), ("дом", "project"), ("a" * 50, "a" * 40), ("x--", "x")],
)
def test_a_folder_has_a_name_that_images_accept(folder, name):
    assert slug(folder) == name


def test_a_folder_with_the_name_of_a_role_has_its_repositorys(tmp_path):
    whole = tmp_path / "RDJ-CHAT"
    for name, text in BASE.items():
        path = whole / "backend" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert detect(whole / "backend").name == "backend"
    (whole / ".git").mkdir()
    assert detect(whole / "backend").name == "rdj-chat"
