"""Static files with a hash of their content in the name, so that browsers may cache them for a year."""

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class HashedStaticFiles(ManifestStaticFilesStorage):
    # The pages' scripts import each other as modules; without this they would load unhashed, uncached copies.
    support_js_module_import_aggregation = True
