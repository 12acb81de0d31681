"""How the bundled model was made: data, model, training, evaluation, export.

Nothing here is needed to run the app. ``python -m pipeline_utils.training --help``
lists the steps.
"""
