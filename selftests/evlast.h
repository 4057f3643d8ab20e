/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last test of a program that mounts file systems (evdurable.h): included behind
 * all others.
 */
/* Fixtures go in their order: nobody holds a file of a topic that is gone. */
FIXTURE(last) {
};

FIXTURE_SETUP(last)
{
}

FIXTURE_TEARDOWN(last)
{
}

TEST_F(last, file_systems_are_free)
{
	EXPECT_EQ(0, evd_unmount());
}
