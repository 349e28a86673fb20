"""Stationary opinions: bounded confidence with noise and stubbornness, fitted to a survey.

A society without history: everybody can meet everybody, and what is compared with the survey is
the distribution that it settles into. That the respondents of one survey year are such a
stationary state is an assumption, stated here and in the ODD, and not tested by the fit.
"""
