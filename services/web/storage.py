"""Static files under names that carry their content's hash, so that nginx may let browsers keep them for a year."""

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class HashedStaticFiles(ManifestStaticFilesStorage):
    # The pages' scripts import each other as modules; without this they would load unhashed, uncached copies.
    support_js_module_import_aggregation = True
