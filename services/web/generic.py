"""Django's generic views with their type parameter. At run time Django's take none, so these ignore it."""

from typing import TYPE_CHECKING

from django.views import generic

if TYPE_CHECKING:
    from django.views.generic import DetailView, FormView, ListView
else:

    class _Parametrised:
        def __class_getitem__(cls, _parameter: object) -> type:
            return cls

    class DetailView(_Parametrised, generic.DetailView):
        pass

    class FormView(_Parametrised, generic.FormView):
        pass

    class ListView(_Parametrised, generic.ListView):
        pass


__all__ = ["DetailView", "FormView", "ListView"]
