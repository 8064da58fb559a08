/* Calls something of the library, so that a misspelt switch cannot go unnoticed: 0 if the answer is right. */
static int use(void)
{
    cel_mat a, b, c;
    int bad;
    if (cel_mat_new(2, 3, &a) || cel_mat_new(3, 2, &b) || cel_mat_new(2, 2, &c)) return 1;
    cel_mat_fill(a, 1);
    cel_mat_fill(b, 2);
    bad = cel_mat_gemm(0, 0, 1, a, b, 0, c, NULL) != CEL_OK || !(c.data[3] > 5.9 && c.data[3] < 6.1);
    cel_mat_free(&a);
    cel_mat_free(&b);
    cel_mat_free(&c);
    return bad;
}
